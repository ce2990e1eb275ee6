"""Keys, roles, policies and the audit as callers over HTTP meet them."""

import socket

import pytest

from cloudassist_tasks.contract.audit import AuditItem, DescribeAuditRecords
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.contract.keys import DisableAccessKey, EnableAccessKey, RotateAccessKey
from cloudassist_tasks.contract.operation import Tag
from tests.support.endpoint import AccessKey, Endpoint, endpoint_alone  # noqa: F401
from tests.support.eventually import eventually
from tests.support.raw_http import Raw, call, raw, signed

SCRIPT = {"Type": "RunShellScript", "CommandContent": "echo", "InstanceId.1": "i-1"}


@pytest.fixture(scope="module")
def endpoint(endpoint_alone: Endpoint) -> Endpoint:  # noqa: F811
    """With i-1, tagged, and i-2."""
    machines = [
        InstanceRegistration(instance_id="i-1", host="127.0.0.1", port=1, tags={"env": "test"}),
        InstanceRegistration(instance_id="i-2", host="127.0.0.1", port=1),
    ]
    endpoint_alone.client.send(AddInstances(instances=machines))
    return endpoint_alone


def recorded(endpoint: Endpoint, answer: Raw) -> AuditItem:
    """The call that was answered so, as it is on record."""
    found: list[AuditItem] = []

    def seen() -> bool:
        records = endpoint.client.send(DescribeAuditRecords(max_results=200)).audit_records
        found[:] = [item for item in records if item.call_request_id == answer.json["RequestId"]]
        return bool(found)

    eventually(seen, within=10)
    assert len(found) == 1
    return found[0]


def test_a_viewer_describes_and_nothing_else(endpoint: Endpoint) -> None:
    viewer = endpoint.new_key("viewer")

    described = call(endpoint, "DescribeInstances", {}, key=viewer)
    refused = call(endpoint, "RunCommand", SCRIPT, key=viewer)

    assert described.status == 200
    assert (refused.status, refused.code) == (403, "Forbidden.RAM")
    assert refused.json["Message"].startswith(
        f"RunCommand is not allowed for {viewer.id}: its role is viewer"
    )
    item = recorded(endpoint, refused)
    assert (item.caller, item.role, item.source) == (viewer.id, "viewer", "127.0.0.1")
    assert (item.action, item.outcome, item.status) == ("RunCommand", "Forbidden.RAM", 403)


def test_a_policy_holds_over_http(endpoint: Endpoint) -> None:
    key = endpoint.new_key(
        "operator",
        policy_tag=[Tag(key="env", value="test")],
        policy_user=["deploy"],
        policy_action=["RunCommand"],
    )

    done = call(endpoint, "RunCommand", {**SCRIPT, "Username": "deploy"}, key=key)
    refusals = [
        call(endpoint, "RunCommand", {**SCRIPT, "Username": "deploy", "InstanceId.2": "i-2"}, key=key),
        call(endpoint, "RunCommand", SCRIPT, key=key),
        call(endpoint, "DescribeInstances", {}, key=key),
    ]

    assert done.status == 200
    assert recorded(endpoint, done).invoke_id == done.json["InvokeId"]
    assert [(answer.status, answer.code) for answer in refusals] == [(403, "Forbidden.RAM")] * 3


def test_a_disabled_key_is_refused_at_once_and_its_stream_ends(endpoint: Endpoint) -> None:
    key = endpoint.new_key("viewer")
    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as stream:
        stream.sendall(signed(endpoint, "", {}, key=key, method="GET", path="/events"))
        assert b"200 OK" in stream.recv(4_096)
        assert call(endpoint, "DescribeInstances", {}, key=key).status == 200

        endpoint.client.send(DisableAccessKey(access_key_id=key.id))
        refused = call(endpoint, "DescribeInstances", {}, key=key)
        call(endpoint, "RunCommand", SCRIPT)  # something happens
        rest = b""
        while not rest.endswith(b"\r\n0\r\n\r\n"):
            rest += stream.recv(4_096)
        endpoint.client.send(EnableAccessKey(access_key_id=key.id))

    assert (refused.status, refused.code) == (403, "InvalidAccessKeyId.Inactive")
    assert b"event: opened" not in rest
    assert b"event: error" in rest
    assert b"InvalidAccessKeyId.Inactive" in rest
    assert call(endpoint, "DescribeInstances", {}, key=key).status == 200
    assert recorded(endpoint, refused).caller == key.id


def test_both_secrets_serve_during_a_rotations_grace(endpoint: Endpoint) -> None:
    old = endpoint.new_key("viewer")

    rotated = endpoint.client.send(RotateAccessKey(access_key_id=old.id, grace=600))
    new = AccessKey(old.id, rotated.access_key_secret)
    during = [call(endpoint, "DescribeInstances", {}, key=key).status for key in (old, new)]
    endpoint.client.send(RotateAccessKey(access_key_id=old.id))
    after = call(endpoint, "DescribeInstances", {}, key=old)

    assert during == [200, 200]
    assert (after.status, after.code) == (400, "SignatureDoesNotMatch")


def test_calls_of_strangers_are_on_record_under_the_key_that_they_claim(endpoint: Endpoint) -> None:
    wrong = AccessKey(endpoint.key.id, "0" * 40)
    unknown = AccessKey("CA" + "9" * 18, "0" * 40)

    mismatch = recorded(endpoint, call(endpoint, "RunCommand", SCRIPT, key=wrong))
    nobody = recorded(endpoint, call(endpoint, "RunCommand", SCRIPT, key=unknown))
    unsigned = recorded(
        endpoint, raw(endpoint, b"GET /?Action=RunCommand&Version=2014-05-26 HTTP/1.1\r\nhost: h\r\n\r\n")
    )

    assert (mismatch.caller, mismatch.role, mismatch.outcome) == (wrong.id, "", "SignatureDoesNotMatch")
    assert (nobody.caller, nobody.action, nobody.status) == (unknown.id, "RunCommand", 404)
    assert (unsigned.caller, unsigned.action) == ("", "RunCommand")
    assert unsigned.outcome.startswith("MissingAccessKeyId")


def test_parameters_that_cannot_be_read_are_on_record_under_the_key(endpoint: Endpoint) -> None:
    answer = call(endpoint, "RunCommand", {**SCRIPT, "Timeout": "soon"})

    item = recorded(endpoint, answer)
    assert answer.status == 400
    assert (item.caller, item.role, item.outcome) == (endpoint.key.id, "admin", answer.code)


def test_the_log_of_the_endpoint_holds_no_secret(endpoint: Endpoint) -> None:
    wrong = AccessKey(endpoint.key.id, "0123456789" * 4)
    refused = endpoint.log_text().count("SignatureDoesNotMatch")

    call(endpoint, "RunCommand", {**SCRIPT, "CommandContent": "echo s3cr3t-MARKER"})
    call(endpoint, "RunCommand", {**SCRIPT, "CommandContent": "echo s3cr3t-MARKER"}, key=wrong)

    eventually(lambda: endpoint.log_text().count("SignatureDoesNotMatch") > refused)
    log = endpoint.log_text()
    assert "call_answered" in log
    for secret in (endpoint.key.secret, wrong.secret, "s3cr3t-MARKER"):
        assert secret not in log
