"""Decoding and size of a script."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.content import check_size, content_size, decoded_content, parameter_names
from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.limits import CLASSIC, LIMITS_2026
from tests.unit.domain.refusals import refused


@given(st.binary(max_size=200), st.booleans())
def test_base64_is_decoded_also_when_broken_into_lines(content: bytes, lines: bool) -> None:
    text = (base64.encodebytes if lines else base64.b64encode)(content).decode()

    assert content == decoded_content(text, is_base64=True)


def test_plain_text_is_utf8() -> None:
    assert decoded_content("echo \u00e4", is_base64=False) == b"echo \xc3\xa4"


@pytest.mark.parametrize(
    ("text", "is_base64"), [("ZWNobw=", True), ("echo hi!", True), ("\u00e4", True), ("\ud800", False)]
)
def test_content_that_is_neither_is_refused(text: str, is_base64: bool) -> None:
    with refused(Kind.CONTENT_UNDECODABLE, naming="Base64" if is_base64 else "UTF-8"):
        decoded_content(text, is_base64=is_base64)


@given(st.binary(max_size=200), st.dictionaries(st.text("ab", min_size=1), st.text("x\u00e4"), max_size=3))
def test_the_size_is_that_of_content_and_values_after_base64(content: bytes, values: dict[str, str]) -> None:
    as_json = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() if values else b""

    assert content_size(content, values) == len(base64.b64encode(content)) + len(base64.b64encode(as_json))


def test_16_kb_after_base64_pass_and_one_byte_more_does_not() -> None:
    check_size(b"x" * 12_288, CLASSIC)

    with refused(Kind.CONTENT_TOO_LONG, naming="16388 bytes after Base64, the limit is 16384"):
        check_size(b"x" * 12_289, CLASSIC)
    check_size(b"x" * 12_289, LIMITS_2026)


def test_values_count_too() -> None:
    with refused(Kind.CONTENT_TOO_LONG, naming="with its parameters"):
        check_size(b"x" * 12_280, CLASSIC, values={"name": "value"})


def test_a_script_that_grows_by_its_values_is_refused() -> None:
    content, values = b"{{a}}" * 1_000, {"a": "x" * 1_000}

    check_size(content, CLASSIC, values=values)
    with refused(Kind.CONTENT_TOO_LONG):
        check_size(content, CLASSIC, values=values, substituted=True)


def test_a_command_without_parameters_defines_none() -> None:
    assert parameter_names(b"awk '{{print $1}}' {{a}}", CLASSIC, enabled=False) == ()
    assert parameter_names(b"{{a}}", CLASSIC, enabled=True) == ("a",)
