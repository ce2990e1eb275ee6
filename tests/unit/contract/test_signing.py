"""Signatures of the vendor's clients, as they were captured; and of our own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.contract.signing import MAX_SKEW_MS, Received, read, signed_headers
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.secret import Secret

SECRET = Secret("SECRET")
WHEN = "2026-11-22T05:14:43Z"
NOW_MS = 1_795_324_483_000
"""The same."""

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True, errors="surrogateescape")


V3_QUERY = (
    "ClientToken=tok-1&CommandContent=ZWNobyB7e25hbWV9fQ%3D%3D&Frequency=0+%2A%2F5+%2A+%2A+%2A+%3F+GMT%2B8%3A00"
    "&InstanceId.1=i-1&Name=h%C3%A9llo+%E5%90%8D&Parameters=%7B%22name%22%3A%22Jack+%26+Jill%22%7D&Tag.2.Value="
)


def v3(query: str = V3_QUERY, body: bytes = b"", **headers: str) -> Received:
    """As our own client signs; the vendor's signs more headers."""
    given = {"host": "127.0.0.1:8080", "x-acs-action": "RunCommand", "x-acs-version": "2014-05-26", **headers}
    signed = signed_headers(
        method="POST", query=pairs(query), headers=given, body=body, key_id="AKID", secret=SECRET,
        nonce="n-1", now_ms=NOW_MS,
    )  # fmt: skip
    return Received(method="POST", query=pairs(query), headers=signed, body=body)


def v1(query: str, method: str = "GET", form: str = "") -> Received:
    return Received(method=method, query=pairs(query), form=pairs(form), headers={"host": "127.0.0.1"})


def kind_of(request: Received, secret: Secret[str] = SECRET) -> Kind | None:
    """Why it is refused; None: it is not."""
    try:
        signature = read(request)
        signature.check(secret)
        signature.check_time(NOW_MS)
    except Refused as refusal:
        return refusal.kind
    return None


def test_a_captured_v3_request_of_the_vendors_library_verifies() -> None:
    query = (
        "ClientToken=tok-1&CommandContent=ZWNobyB7e25hbWV9fQ%3D%3D&ContentEncoding=Base64&EnableParameter=True"
        "&Frequency=0+%2A%2F5+%2A+%2A+%2A+%3F+GMT%2B8%3A00&InstanceId.1=i-1&InstanceId.2=i-2&KeepCommand=False"
        "&Name=h%C3%A9llo+%E5%90%8D"
        "&Parameters=%7B%22name%22%3A%22Jack+%26+Jill%22%2C%22n%22%3A1%2C%22b%22%3Atrue%7D"
        "&RegionId=cn-test&Tag.1.Key=env&Tag.1.Value=prod&Tag.2.Key=empty&Tag.2.Value=&Timeout=60"
        "&Type=RunShellScript&WorkingDir=%2Froot"
    )
    headers = {
        "host": "127.0.0.1:36471",
        "x-acs-version": "2014-05-26",
        "x-acs-action": "RunCommand",
        "user-agent": "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
        "x-acs-date": "2026-11-22T05:14:43Z",
        "x-acs-signature-nonce": "bab6bc2be2b74219f3cf97e27515cb85",
        "accept": "application/json",
        "x-acs-content-sha256": EMPTY_SHA256,
        "x-acs-credentials-provider": "static_ak",
        "authorization": "ACS3-HMAC-SHA256 Credential=AKID,SignedHeaders=accept;host;user-agent;x-acs-action;"
        "x-acs-content-sha256;x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=15f8fa0f0b12742e8ad0d15c2140ecbaab85da1b301b24baf3067dd2398c0132",
    }

    signature = read(Received(method="POST", query=pairs(query), headers=headers))
    signature.check(SECRET)

    assert (signature.key_id, signature.signed_ms) == ("AKID", NOW_MS)


@pytest.mark.parametrize(
    ("method", "query"),
    [
        (
            "POST",
            "Action=InvokeCommand&Format=json&Version=2014-05-26&Timestamp=2026-11-22T05%3A14%3A43Z"
            "&SignatureNonce=2a7c04f0b85ab49d54b68b59b6f71975&CommandId=c-1&InstanceId.1=i-1&InstanceId.2=i-2"
            "&Parameters=%7B%22name%22%3A%22Jack%22%7D&RegionId=cn-test&SignatureMethod=HMAC-SHA1"
            "&SignatureVersion=1.0&AccessKeyId=AKID&Signature=BKkQx8H7UHk%2B7HqQtH7Oqn1%2B%2BBg%3D",
        ),
        (
            "GET",
            "InvokeId=t-1&IncludeOutput=True&Tag.1.Value=prod&Tag.1.Key=env&Version=2014-05-26"
            "&Action=DescribeInvocations&Format=JSON&RegionId=cn-test&Timestamp=2026-11-22T05%3A17%3A07Z"
            "&SignatureMethod=HMAC-SHA1&SignatureType=&SignatureVersion=1.0"
            "&SignatureNonce=c36ec209bf2a9e60d48607ae72c2cd81&AccessKeyId=AKID"
            "&Signature=OYkvZlki2%2BD5bz2VCJQkRFjUCPs%3D",
        ),
    ],
    ids=["library of today", "old library"],
)
def test_captured_v1_requests_of_the_vendors_libraries_verify(method: str, query: str) -> None:
    as_form = v1("", "POST", form=query)

    read(v1(query, method)).check(SECRET)
    if method == "POST":
        read(as_form).check(SECRET)


def test_a_rotated_keys_earlier_secret_serves_too() -> None:
    read(v3()).check(Secret("of today"), SECRET)


def test_the_documented_v1_example_verifies() -> None:
    """Source: the vendor's documentation of its V1 signature (DescribeRegions, secret `testsecret`)."""
    request = v1(
        "Timestamp=2016-02-23T12%3A46%3A24Z&Format=XML&AccessKeyId=testid&Action=DescribeRegions"
        "&SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Version=2014-05-26"
        "&SignatureVersion=1.0&Signature=OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D"
    )

    signature = read(request)
    signature.check(Secret("testsecret"))

    assert signature.string_to_sign.startswith("GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26")


@pytest.mark.parametrize(
    "query", [V3_QUERY, V3_QUERY.replace("+", "%20"), V3_QUERY.replace("%2A", "*").replace("%3A", ":")]
)
def test_however_a_client_escapes_what_it_means_is_checked(query: str) -> None:
    signed = v3()

    assert kind_of(replace(signed, query=pairs(query))) is None


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"path": "/wait"},
        {"query": pairs(V3_QUERY.replace("i-1", "i-2"))},
        {"query": pairs(V3_QUERY + "&InstanceId.2=i-2")},
        {"body": b"x"},
    ],
)
def test_a_changed_request_is_not_the_signed_one(change: Mapping[str, Any]) -> None:
    assert kind_of(replace(v3(), **change)) is Kind.SIGNATURE_MISMATCH


@pytest.mark.parametrize(
    ("header", "value", "kind"),
    [
        ("x-acs-action", "DeleteCommand", Kind.SIGNATURE_MISMATCH),
        ("host", "elsewhere", Kind.SIGNATURE_MISMATCH),
        ("x-acs-content-sha256", "0" * 64, Kind.SIGNATURE_MISMATCH),
        ("x-acs-date", "yesterday", Kind.BAD_TIMESTAMP),
        ("x-cloudassist-client", "added", Kind.INCOMPLETE_SIGNATURE),
        ("x-acs-security-token", "sts", Kind.SECURITY_TOKEN),
        ("authorization", "Basic dXNlcjpwYXNz", Kind.INCOMPLETE_SIGNATURE),
        ("authorization", "ACS3-HMAC-SHA256 Credential=AKID", Kind.INCOMPLETE_SIGNATURE),
        ("authorization", "ACS3-HMAC-SHA256", Kind.INCOMPLETE_SIGNATURE),
    ],
)
def test_a_changed_or_added_header_is_seen(header: str, value: str, kind: Kind) -> None:
    request = v3()

    assert kind_of(replace(request, headers={**request.headers, header: value})) is kind


def test_a_wrong_secret_is_told_with_our_string_to_sign() -> None:
    signature = read(v3())

    with pytest.raises(Refused) as refused:
        signature.check(Secret("another"))

    assert refused.value.kind is Kind.SIGNATURE_MISMATCH
    assert refused.value.message.endswith("server string to sign is:" + signature.string_to_sign)


@pytest.mark.parametrize(("late_ms", "fits"), [(MAX_SKEW_MS, True), (MAX_SKEW_MS + 1, False)])
def test_a_request_is_believed_for_fifteen_minutes_both_ways(late_ms: int, fits: bool) -> None:
    signature = read(v3())

    for now_ms in (NOW_MS + late_ms, NOW_MS - late_ms):
        if fits:
            signature.check_time(now_ms)
        else:
            with pytest.raises(Refused) as refused:
                signature.check_time(now_ms)
            assert refused.value.kind is Kind.TIMESTAMP_EXPIRED


def test_nobody_signed_is_said_so() -> None:
    assert kind_of(Received(method="GET", headers={"host": "h"})) is Kind.MISSING_ACCESS_KEY


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("AccessKeyId=A", Kind.INCOMPLETE_SIGNATURE),
        ("Signature=x", Kind.MISSING_ACCESS_KEY),
        ("AccessKeyId=A&Signature=x&SignatureNonce=n&Timestamp=now", Kind.BAD_TIMESTAMP),
        (
            "AccessKeyId=A&Signature=x&SignatureNonce=n&Timestamp=2026-11-22T05:14:43Z",
            Kind.SIGNATURE_MISMATCH,
        ),
        ("AccessKeyId=A&Signature=x&SecurityToken=s", Kind.SECURITY_TOKEN),
        (
            f"AccessKeyId=A&Signature=x&SignatureNonce=n&Timestamp={WHEN}&SignatureMethod=NONE",
            Kind.INCOMPLETE_SIGNATURE,
        ),
    ],
)
def test_a_v1_signature_that_lacks_something_is_refused(query: str, kind: Kind) -> None:
    assert kind_of(v1(query)) is kind


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=6), st.binary(max_size=20))
def test_our_own_signature_holds_for_any_parameters_and_body(query: dict[str, str], body: bytes) -> None:
    query = {k: v for k, v in query.items() if (k + v).isprintable()}
    signed = signed_headers(
        method="POST", query=list(query.items()), headers={"host": "h"}, body=body, key_id="A",
        secret=SECRET, nonce="n", now_ms=NOW_MS,
    )  # fmt: skip

    reordered = list(reversed(query.items()))
    assert kind_of(Received(method="POST", query=reordered, headers=signed, body=body)) is None
