"""`{{name}}`: definitions, values, and putting them in once."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.errors import ErrorCode, Kind, RunFailed
from cloudassist_tasks.domain.limits import CLASSIC, LIMITS_2026
from cloudassist_tasks.domain.parameters import (
    BUILT_IN_NAMES,
    check_values,
    definitions,
    has_placeholders,
    substitute,
    substitute_custom,
    values_from_json,
    values_from_mapping,
)
from cloudassist_tasks.domain.status import RunStatus
from tests.unit.domain.refusals import refused

BUILT_IN = {name: f"<{name}>" for name in BUILT_IN_NAMES}

NAMES = st.text("abAB01_-", min_size=1, max_size=4)


# -- what a command defines


def test_names_are_found_once_in_order_and_as_first_written() -> None:
    content = b"echo {{User}} {{dir}} {{USER}} {{ACS::InstanceId}} {{a-b_1}}"

    assert definitions(content) == ("User", "dir", "a-b_1")


def test_blanks_and_line_breaks_inside_the_braces_mean_nothing() -> None:
    assert definitions(b"{{ na\r\n\tme }}") == ("name",)
    assert substitute(b"{{ na\r\n\tme }}", {"name": "v"}, BUILT_IN) == b"v"


def test_a_script_need_not_be_utf8() -> None:
    assert definitions(b"\xff\xfe{{a}}\x80") == ("a",)
    assert substitute(b"\xff\xfe{{a}}\x80", {"a": "1"}, BUILT_IN) == b"\xff\xfe1\x80"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{{}}", Kind.PARAMETER_EMPTY_NAME),
        (b"\n{{ \n }}", Kind.PARAMETER_EMPTY_NAME),
        (b"awk '{{print $1}}'", Kind.PARAMETER_BAD_NAME),
        (b"{{n\xc3\xa4me}}", Kind.PARAMETER_BAD_NAME),
        (b"{{acs::InstanceId}}", Kind.PARAMETER_BAD_NAME),
        (b"{{" + b"n" * 65 + b"}}", Kind.PARAMETER_NAME_TOO_LONG),
        (b"".join(b"{{n%d}}" % n for n in range(21)), Kind.PARAMETER_TOO_MANY_DEFINED),
        (
            b"{{ACS::InvokeId}}" + b"".join(b"{{n%d}}" % n for n in range(20)),
            Kind.PARAMETER_TOO_MANY_DEFINED,
        ),
        (b"{{oos-secret:db}}", Kind.PARAMETER_STORE),
    ],
)
def test_a_fault_in_the_content_is_refused(content: bytes, kind: Kind) -> None:
    with refused(kind):
        definitions(content)


def test_the_limits_themselves_are_allowed() -> None:
    assert len(definitions(b"".join(b"{{n%d}}{{N%d}}" % (n, n) for n in range(20)))) == 20
    assert definitions(b"{{" + b"n" * 64 + b"}}") == ("n" * 64,)


def test_a_refusal_shows_the_line_and_nothing_of_the_script() -> None:
    with refused(Kind.PARAMETER_BAD_NAME, naming="line 3"):
        definitions(b"#!/bin/sh\n\n{{ hunter2! }}")


def test_single_and_odd_braces_are_left_alone() -> None:
    content = b"${x} {a} {{ {b} }} }} {{"

    assert definitions(content) == ()
    assert content == substitute(content, {}, BUILT_IN)
    assert substitute(b"{{{a}}}", {"a": "v"}, BUILT_IN) == b"{v}"


@pytest.mark.parametrize(
    ("content", "found"), [(b"{{a}}", True), (b"{{ACS::InvokeId}}", True), (b"{{}} {x}", False)]
)
def test_a_script_with_something_to_put_in_is_recognised(content: bytes, found: bool) -> None:
    assert found is has_placeholders(content)


# -- what a call passes


def test_values_come_as_json_with_scalars_as_written() -> None:
    text = '{"a": "x", "n": 1.50, "i": 10, "t": true, "f": false, "z": null}'

    values = values_from_json(text)

    assert values == {"a": "x", "n": "1.50", "i": "10", "t": "true", "f": "false", "z": ""}


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{", "1", "null", "[[" * 50_000, '{"a": NaN}'])
def test_parameters_that_are_no_object_are_refused(text: str) -> None:
    with refused(Kind.PARAMETER_NOT_AN_OBJECT):
        values_from_json(text)


@pytest.mark.parametrize("text", ['{"a": []}', '{"a": {"b": "c"}}'])
def test_a_value_with_structure_is_refused(text: str) -> None:
    with refused(Kind.PARAMETER_BAD_TYPE, naming="'a'"):
        values_from_json(text)


def test_a_key_that_comes_twice_in_the_json_is_refused() -> None:
    with refused(Kind.PARAMETER_DUPLICATE):
        values_from_json('{"a": "1", "a": "2"}')


def test_values_of_a_program_are_read_the_same_way() -> None:
    assert values_from_mapping({"a": 1, "b": True, "c": None, "d": "x"}) == {
        "a": "1",
        "b": "true",
        "c": "",
        "d": "x",
    }
    with refused(Kind.PARAMETER_BAD_TYPE):
        values_from_mapping({"a": b"bytes"})


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({f"n{n}": "" for n in range(21)}, Kind.PARAMETER_TOO_MANY_GIVEN),
        ({"k" * 65: ""}, Kind.PARAMETER_KEY_TOO_LONG),
        ({"a": "x\0y"}, Kind.PARAMETER_BAD_CHARSET),
        ({"a": "\ud800"}, Kind.PARAMETER_BAD_CHARSET),
        ({"a": "1", "A": "2"}, Kind.PARAMETER_DUPLICATE),
        ({"other": "1"}, Kind.PARAMETER_UNKNOWN),
        ({"": "1"}, Kind.PARAMETER_UNKNOWN),
    ],
)
def test_a_fault_in_the_values_is_refused(values: Mapping[str, str], kind: Kind) -> None:
    with refused(kind):
        check_values(("a", "b"), values, enabled=True)


def test_values_for_a_command_without_parameters_are_refused() -> None:
    with refused(Kind.PARAMETER_DISABLED):
        check_values((), {"a": "1"}, enabled=False)


def test_a_name_is_the_same_in_upper_and_lower_case() -> None:
    check_values(("User",), {"uSER": "x"}, enabled=True)

    assert substitute(b"{{User}}", {"uSER": "x"}, BUILT_IN) == b"x"


def test_a_value_may_be_left_out_when_others_are_sent() -> None:
    check_values(("a", "b"), {"a": "1"}, enabled=True, needed=True)
    check_values(("a", "b"), {}, enabled=True, needed=True)

    assert substitute(b"[{{a}}][{{b}}]", {"a": "1"}, BUILT_IN) == b"[1][]"


def test_no_parameters_at_all_are_refused_where_they_are_needed() -> None:
    with refused(Kind.PARAMETER_MISSING, naming="a, b"):
        check_values(("a", "b"), None, enabled=True, needed=True)

    check_values(("a", "b"), None, enabled=True, needed=False)
    check_values((), None, enabled=True, needed=True)
    check_values(("a",), None, enabled=False, needed=True)
    check_values((), {}, enabled=False)


def test_how_many_values_may_be_passed_is_a_limit() -> None:
    names = tuple(f"n{n}" for n in range(11))
    values = dict.fromkeys(names, "")

    check_values(names, values, enabled=True, limits=CLASSIC)
    with refused(Kind.PARAMETER_TOO_MANY_GIVEN, naming="limit is 10"):
        check_values(names, values, enabled=True, limits=LIMITS_2026)


# -- putting the values in


def test_built_in_names_get_their_values() -> None:
    content = b"{{ACS::InstanceId}} {{ ACS :: InvokeId }} {{ACS::InstanceName}}"

    assert substitute(content, {}, BUILT_IN) == b"<InstanceId> <InvokeId> <InstanceName>"


@pytest.mark.parametrize("name", [b"Nothing", b"instanceid", b"InstanceId|x", b"", b"\xff"])
def test_an_unknown_built_in_name_is_an_error_of_the_run(name: bytes) -> None:
    content = b"#!/bin/sh\necho {{ACS::%s}}" % name

    assert definitions(content) == ()
    with pytest.raises(RunFailed) as caught:
        substitute(content, {}, BUILT_IN)
    assert RunStatus.INVALID is caught.value.status
    assert ErrorCode.INVALID_SYSTEM_BUILT_IN_PARAMETER is caught.value.code
    assert "line 2" in caught.value.info


def test_a_value_cannot_stand_for_a_built_in_name() -> None:
    assert substitute(b"{{ACS::InvokeId}}", {"ACS::InvokeId": "mine"}, BUILT_IN) == b"<InvokeId>"


def test_custom_values_alone_leave_the_built_in_names() -> None:
    assert (
        substitute_custom(b"{{a}} {{ACS::InvokeId}} {{no name!}}", {"a": "1"})
        == b"1 {{ACS::InvokeId}} {{no name!}}"
    )


TEXT_WITH_PLACEHOLDERS = st.lists(
    st.sampled_from(["{{", "}}", "{{a}}", "{{b}}", "{{ACS::InvokeId}}", "{", "}", "a", "b", " ", "ACS::"]),
    max_size=8,
).map("".join)


@given(
    pieces=st.lists(st.binary(max_size=6).map(lambda piece: piece.translate(None, b"{}")), min_size=1),
    names=st.lists(st.sampled_from(["a", "b", "ACS::InvokeId"]), max_size=6),
    a=TEXT_WITH_PLACEHOLDERS,
    b=TEXT_WITH_PLACEHOLDERS,
    invoke_id=TEXT_WITH_PLACEHOLDERS,
)
def test_what_a_value_holds_is_never_substituted_again(
    pieces: list[bytes], names: list[str], a: str, b: str, invoke_id: str
) -> None:
    values = {"a": a, "b": b, "ACS::InvokeId": invoke_id}
    names = names[: len(pieces)]
    names += ["a"] * (len(pieces) - len(names))
    content = b"".join(
        piece + b"{{" + name.encode() + b"}}" for piece, name in zip(pieces, names, strict=True)
    )

    script = substitute(content, {"a": a, "b": b}, BUILT_IN | {"InvokeId": invoke_id})

    assert script == b"".join(
        piece + values[name].encode() for piece, name in zip(pieces, names, strict=True)
    )


@given(content=st.binary(max_size=200), values=st.dictionaries(NAMES, st.text(max_size=5), max_size=3))
def test_content_without_placeholders_stays_as_it_is(content: bytes, values: Mapping[str, str]) -> None:
    if re.search(rb"\{\{[^{}]*\}\}", content):
        return

    assert content == substitute(content, values, BUILT_IN)


def test_many_opened_braces_cost_no_more_than_their_length() -> None:
    content = b"{{a " * 100_000

    assert definitions(content) == ()
    assert content == substitute(content, {}, BUILT_IN)
