"""The endpoint at the level of bytes: whatever is sent, the answer is one that the vendor's clients parse."""

import json
import os
import socket
import ssl
import subprocess
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path

import pytest

from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.commands import DescribeCommands
from cloudassist_tasks.contract.keys import DisableAccessKey
from cloudassist_tasks.domain.errors import Broken
from tests.support.endpoint import AccessKey, Endpoint, endpoint_alone, served  # noqa: F401
from tests.support.eventually import eventually
from tests.support.raw_http import Raw, call, raw, raw_v1_query, signed

HOST = b"host: 127.0.0.1\r\n"


@pytest.fixture
def endpoint(endpoint_alone: Endpoint) -> Endpoint:  # noqa: F811
    return endpoint_alone


# -- both families, both methods


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("as_form", [False, True])
def test_v3_is_answered_by_either_method_from_query_or_form(
    endpoint: Endpoint, method: str, as_form: bool
) -> None:
    answer = call(endpoint, "DescribeCommands", {"PageSize": "5"}, method=method, as_form=as_form)

    assert (answer.status, answer.json["PageSize"]) == (200, 5)
    assert answer.headers["x-acs-request-id"] == answer.json["RequestId"]
    assert answer.headers["content-type"] == "application/json;charset=utf-8"


def test_action_may_stand_in_the_query_of_a_v3_request(endpoint: Endpoint) -> None:
    answer = call(endpoint, "", {"Action": "DescribeCommands", "PageSize": "5"})

    assert (answer.status, answer.json["PageSize"]) == (200, 5)


@pytest.mark.parametrize("algorithm", ["HMAC-SHA1", "HMAC-SHA256"])
def test_v1_is_answered_from_query_or_form_and_the_two_together(endpoint: Endpoint, algorithm: str) -> None:
    wanted = {"Action": "DescribeCommands", "Format": "JSON", "PageSize": "5", "Name": "héllo *~+/=& 名"}
    query = raw_v1_query(endpoint.key, wanted, algorithm=algorithm)
    form = raw_v1_query(endpoint.key, wanted, method="POST", algorithm=algorithm)
    both = raw_v1_query(endpoint.key, wanted, method="POST", algorithm=algorithm)
    first, _, rest = both.partition("&PageSize=5")

    answers = [
        raw(endpoint, f"GET /?{query} HTTP/1.1\r\n".encode() + HOST + b"\r\n"),
        raw(endpoint, _posted("/", form)),
        raw(endpoint, _posted(f"/?PageSize=5{rest}", first)),
    ]

    assert [(answer.status, answer.json["PageSize"]) for answer in answers] == [(200, 5)] * 3


def _posted(target: str, form: str, content_type: str = "application/x-www-form-urlencoded") -> bytes:
    head = f"POST {target} HTTP/1.1\r\nhost: h\r\ncontent-type: {content_type}\r\n"
    return f"{head}content-length: {len(form)}\r\n\r\n{form}".encode()


def test_v1_clients_that_do_not_ask_for_json_get_xml(endpoint: Endpoint) -> None:
    made = call(
        endpoint,
        "CreateCommand",
        {"Name": "<&>", "Type": "RunShellScript", "CommandContent": "", "ContentEncoding": "PlainText"}
        | {"Tag.1.Key": "env", "Tag.1.Value": "prod", "CommandContent": "echo \x01 ok"},
    )
    query = raw_v1_query(endpoint.key, {"Action": "DescribeCommands", "ContentEncoding": "PlainText"})
    answer = raw(endpoint, f"GET /?{query} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
    failed = raw(endpoint, f"GET /?{query} HTTP/1.1\r\n".encode() + HOST + b"\r\n")

    document = ElementTree.fromstring(answer.body)
    command = document.find("Commands/Command")
    assert made.status == 200
    assert document.tag == "DescribeCommandsResponse"
    assert answer.headers["content-type"] == "text/xml;charset=utf-8"
    assert command is not None
    assert command.findtext("CommandId") == made.json["CommandId"]
    assert command.findtext("Name") == "<&>"
    assert command.findtext("CommandContent") == "echo \ufffd ok"
    assert command.findtext("EnableParameter") == "false"
    assert command.findtext("Tags/Tag/TagKey") == "env"
    error = ElementTree.fromstring(failed.body)
    assert (failed.status, error.tag, error.findtext("Code")) == (400, "Error", "SignatureNonceUsed")


# -- who signs


def test_a_request_is_taken_once(endpoint: Endpoint) -> None:
    request = signed(endpoint, "DescribeCommands", {}, key=endpoint.key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: raw(endpoint, request), range(8)))

    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert {answer.code for answer in answers if answer.status == 400} == {"SignatureNonceUsed"}


@pytest.mark.parametrize("ahead_s", [-16 * 60, 16 * 60])
def test_a_request_of_another_time_is_refused(endpoint: Endpoint, ahead_s: int) -> None:
    answer = raw(endpoint, signed(endpoint, "DescribeCommands", {}, key=endpoint.key, ahead_s=ahead_s))

    assert (answer.status, answer.code) == (400, "InvalidTimeStamp.Expired")


def test_an_unknown_and_a_disabled_key_are_told_apart(endpoint: Endpoint) -> None:
    disabled = endpoint.new_key("viewer")
    endpoint.client.send(DisableAccessKey(access_key_id=disabled.id))

    unknown = call(endpoint, "DescribeCommands", {}, key=AccessKey("CA" + "A" * 18, "x"))
    odd = call(endpoint, "DescribeCommands", {}, key=AccessKey("AKID", "x"))
    inactive = call(endpoint, "DescribeCommands", {}, key=disabled)

    assert (unknown.status, unknown.code) == (404, "InvalidAccessKeyId.NotFound")
    assert odd.code == "InvalidAccessKeyId.NotFound"
    assert (inactive.status, inactive.code) == (403, "InvalidAccessKeyId.Inactive")


def test_a_key_does_what_its_role_may(endpoint: Endpoint) -> None:
    viewer = endpoint.new_key("viewer")

    looked = call(endpoint, "DescribeCommands", {}, key=viewer)
    deleted = call(endpoint, "DeleteCommand", {"CommandId": "c-1"}, key=viewer)

    assert looked.status == 200
    assert (deleted.status, deleted.code) == (403, "Forbidden.RAM")


def test_extensions_are_answered_to_our_signed_mark_only(endpoint: Endpoint) -> None:
    ours = call(endpoint, "DescribeRegistrations", {}, ours=True)
    theirs = call(endpoint, "DescribeRegistrations", {})
    request = signed(endpoint, "DescribeRegistrations", {}, key=endpoint.key)
    forged = raw(endpoint, request.replace(b"\r\nhost:", b"\r\nx-cloudassist-client: forged\r\nhost:"))

    assert ours.status == 200
    assert (theirs.status, theirs.code) == (404, "InvalidAction.NotFound")
    assert (forged.status, forged.code) == (400, "IncompleteSignature")


def test_a_wrong_signature_is_told_with_our_string_to_sign_and_logged_without(endpoint: Endpoint) -> None:
    marker = "marker-of-a-script"
    query = raw_v1_query(endpoint.key, {"Action": "RunCommand", "CommandContent": marker, "Format": "JSON"})

    answer = raw(endpoint, f"GET /?{query}x HTTP/1.1\r\n".encode() + HOST + b"\r\n")

    assert answer.code == "SignatureDoesNotMatch"
    assert "server string to sign is:GET&%2F&" in answer.json["Message"]
    eventually(lambda: '"SignatureDoesNotMatch"' in endpoint.log_text())
    assert marker not in endpoint.log_text()


# -- every path answers an error that clients parse


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "MissingAction"),
        (b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n", 404, "InvalidAction.NotFound"),
        (b"GET //x/../%00 HTTP/1.1\r\n" + HOST + b"\r\n", 404, "InvalidAction.NotFound"),
        (b"GET /?Action=Nothing HTTP/1.1\r\n" + HOST + b"\r\n", 404, "InvalidAction.NotFound"),
        (b"GET /?Action=RunCommand HTTP/1.1\r\n" + HOST + b"\r\n", 400, "MissingVersion"),
        (b"GET /?Action=RunCommand&Version=1 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "InvalidVersion"),
        (
            b"GET /?Action=RunCommand&Version=2014-05-26 HTTP/1.1\r\n" + HOST + b"\r\n",
            400,
            "MissingAccessKeyId",
        ),
        (b"PUT / HTTP/1.1\r\n" + HOST + b"content-length: 0\r\n\r\n", 403, "UnsupportedHTTPMethod"),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404, "InvalidAction.NotFound"),
        (b"POST /healthz HTTP/1.1\r\n" + HOST + b"content-length: 0\r\n\r\n", 403, "UnsupportedHTTPMethod"),
        (b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n", 400, "MissingAccessKeyId"),
        (b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n", 400, "MissingAccessKeyId"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "MalformedRequest"),
        (b"GET / HTTP/2\r\n\r\n", 400, "MalformedRequest"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "MalformedRequest"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400, "MalformedRequest"),
        (
            b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nx",
            400,
            "MalformedRequest",
        ),
        (_posted("/", "{}", "application/json"), 400, "MalformedRequest"),
        (
            b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 99999999999\r\n\r\nx",
            413,
            "RequestEntityTooLarge",
        ),
        (b"GET /?" + b"a" * 300 * 1024 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "RequestURITooLarge"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 300 * 1024 + b"\r\n\r\n", 431, "RequestHeaderTooLarge"),
    ],
    ids=lambda value: None if not isinstance(value, bytes) else value[:40].decode("latin-1"),
)
def test_whatever_comes_in_an_error_in_our_form_goes_out(
    endpoint: Endpoint, request_: bytes, status: int, code: str
) -> None:
    answer = raw(endpoint, request_)

    assert (answer.status, answer.code) == (status, code)


def test_a_body_that_turns_out_too_long_is_refused(endpoint: Endpoint) -> None:
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"

    answer = raw(endpoint, b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n" + chunk * 20)

    assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize("kilobytes", [60, 130, 250])
def test_long_request_lines_are_taken(endpoint: Endpoint, kilobytes: int) -> None:
    """Whole scripts stand in them, every character escaped."""
    name = "*" * (kilobytes * 1024 // 3)

    answer = call(endpoint, "DescribeCommands", {"Name": name})

    assert answer.status == 200, answer.body[:300]


def test_a_parameter_of_the_wrong_form_is_refused(endpoint: Endpoint) -> None:
    wrong = call(endpoint, "DescribeCommands", {"PageSize": "many"})
    no_list = call(endpoint, "StopInvocation", {"InvokeId": "t-1", "InstanceId": "i-1"})

    assert (wrong.status, wrong.code) == (400, "InvalidParam.PageSize")
    assert (no_list.status, no_list.code) == (400, "InvalidParameter")


def test_head_is_answered_without_a_body(endpoint: Endpoint) -> None:
    with socket.create_connection((endpoint.host, endpoint.port), timeout=60) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n")
        received = b""
        while part := connection.recv(65_536):
            received += part

    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert body == b""


# -- connections


def test_a_connection_is_kept_and_calls_may_be_pipelined(endpoint: Endpoint) -> None:
    requests = [
        signed(endpoint, "DescribeCommands", {"PageSize": str(size)}, key=endpoint.key) for size in (1, 2, 3)
    ]

    with socket.create_connection((endpoint.host, endpoint.port), timeout=60) as connection:
        connection.sendall(b"".join(requests))
        sizes = [_next_answer(connection).json["PageSize"] for _ in requests]

    assert sizes == [1, 2, 3]


def _next_answer(connection: socket.socket) -> Raw:
    """One answer, and not a byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return Raw(int(head.split()[1]), {}, body)


def test_many_callers_at_once_are_all_answered(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda n: call(endpoint, "DescribeCommands", {"Name": "*" * 20_000}), range(60))
        )

    assert {answer.status for answer in answers} == {200}


def test_who_begins_a_request_and_falls_silent_is_let_go(endpoint: Endpoint) -> None:
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout=60) as silent,
        socket.create_connection((endpoint.host, endpoint.port), timeout=60) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\n")
        answers = []
        for connection in (silent, slow):
            response = HTTPResponse(connection)
            response.begin()
            answers.append((response.status, json.loads(response.read())["Code"]))

    assert answers == [(408, "RequestTimeout")] * 2


# -- health


def test_health_is_told_to_anybody(endpoint: Endpoint) -> None:
    alive = raw(endpoint, b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    is_ready = b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n"
    eventually(lambda: raw(endpoint, is_ready).status == 200)  # its way to the broker may be made just now
    ready = raw(endpoint, is_ready)

    assert (alive.status, alive.json) == (200, {"Status": "ok"})
    assert (ready.status, ready.json) == (200, {"Status": "ok", "Store": "ok", "Broker": "ok"})


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for 127.0.0.1, signed by itself, in one folder."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", "key.pem", "-out", "cert.pem",
        ],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_tls_is_spoken_with_a_certificate(endpoint: Endpoint, certificate: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name.startswith("CLOUDASSIST_")}
    options = ["--certificate", str(certificate / "cert.pem"), "--key", str(certificate / "key.pem")]

    with served(variables, endpoint.client, options) as tls:
        key = (tls.key.id, tls.key.secret)
        with Client(tls.url, key, ca_file=certificate / "cert.pem") as client:
            found = client.send(DescribeCommands())
        with Client(tls.url, key) as stranger, pytest.raises(Broken, match="certificate verify failed"):
            stranger.send(DescribeCommands())

        assert tls.url.startswith("https://")
        assert found.request_id
        context = ssl.create_default_context(cafile=certificate / "cert.pem")
        with (
            socket.create_connection((tls.host, tls.port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"nonsense\r\n\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")
