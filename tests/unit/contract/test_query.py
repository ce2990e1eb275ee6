"""From flat parameters to operations and back."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.contract.invocations import (
    DescribeInvocations,
    InvokeCommand,
    RunCommand,
    StopInvocation,
)
from cloudassist_tasks.contract.operation import Operation, Tag
from cloudassist_tasks.contract.query import flattened, operation_of
from cloudassist_tasks.contract.wire import Form, Shape, fields_of
from cloudassist_tasks.domain.errors import Kind, Refused

RUN = {"Type": "RunShellScript", "CommandContent": "true"}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
SCALARS = {Form.STRING: TEXT, Form.INTEGER: st.integers(-(10**17), 10**17), Form.BOOLEAN: st.booleans()}


def values(shape: Shape, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a form, as they are after they have travelled."""
    if name == "Parameters":
        return st.dictionaries(TEXT, TEXT, max_size=3)
    if shape.form is Form.MAP:
        return st.dictionaries(TEXT, JSON, max_size=3)
    if shape.item is not None:
        return st.lists(values(shape.item), min_size=1, max_size=12).map(tuple)
    if shape.cls is not None:
        return objects(shape.cls)
    return SCALARS[shape.form]


def objects(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Objects of a type of the contract; fields that may be left out sometimes are."""
    fields = fields_of(cls)
    needed = {field.name: values(field.shape, field.wire) for field in fields if field.needed}
    rest = {field.name: values(field.shape, field.wire) for field in fields if not field.needed}
    return st.fixed_dictionaries(needed, optional=rest).map(lambda given: cls(**given))


OPERATION = st.sampled_from(sorted(OPERATIONS.values(), key=lambda cls: cls.action())).flatmap(objects)


@given(OPERATION)
def test_any_operation_that_has_travelled_is_the_one_that_was_sent(operation: Operation[Any]) -> None:
    assert operation_of(type(operation), flattened(operation), ours=True) == operation


def test_lists_are_read_by_their_numbers_and_a_tag_without_a_value_has_an_empty_one() -> None:
    ids = {f"InstanceId.{number}": f"i-{number}" for number in (10, 2, 1)}
    flat = {**RUN, **ids, "Tag.2.Value": "prod", "Tag.2.Key": "env", "Tag.1.Key": "empty"}

    run = operation_of(RunCommand, flat, ours=False)

    assert run.instance_id == ("i-1", "i-2", "i-10")
    assert run.tag == (Tag(key="empty"), Tag(key="env", value="prod"))


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("true", True), ("FALSE", False), ("false", False)]
)
def test_booleans_are_read_in_any_case(text: str, value: bool) -> None:
    assert operation_of(RunCommand, {**RUN, "KeepCommand": text}, ours=False).keep_command is value


@pytest.mark.parametrize(
    "text",
    ['{"name":"Jack & Jill","n":1.50,"b":true}', "{'name': 'Jack & Jill', 'n': '1.50', 'b': 'true'}"],
    ids=["JSON", "as the old library writes it"],
)
def test_parameters_are_json_or_what_python_prints(text: str) -> None:
    invoke = operation_of(InvokeCommand, {"CommandId": "c-1", "Parameters": text}, ours=False)

    assert invoke.parameters == {"name": "Jack & Jill", "n": "1.50", "b": "true"}


@pytest.mark.parametrize(
    "text",
    [
        "", "[1]", "{", "null", '"x"', "{1: 2}", "__import__('os')", "{'a': a}", "[" * 100_000,
        "{'a': " + "-" * 60_000 + "1}", "{'a': " + "(" * 60_000 + "}", "{'a': 1" + "+1" * 30_000 + "}",
        "{'a': " * 10_000, "{'a': " * 90 + "1" + "}" * 90 + ".x" * 30_000, "{" + "'a':" * 16_000 + "1}",
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_parameters_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        operation_of(InvokeCommand, {"CommandId": "c-1", "Parameters": text}, ours=False)

    assert refused.value.kind is Kind.PARAMETER_NOT_AN_OBJECT


@pytest.mark.parametrize(
    ("cls", "flat", "kind", "named"),
    [
        (RunCommand, {"Type": "RunShellScript"}, Kind.MISSING_VALUE, "CommandContent"),
        (RunCommand, {**RUN, "Timeout": "soon"}, Kind.BAD_VALUE, "Timeout"),
        (RunCommand, {**RUN, "Timeout": "9" * 30}, Kind.BAD_VALUE, "Timeout"),
        (RunCommand, {**RUN, "Timed": "maybe"}, Kind.BAD_VALUE, "Timed"),
        (StopInvocation, {"InvokeId": "t-1", "InstanceId": "i-1"}, Kind.BAD_VALUE, "InstanceId.1"),
        (StopInvocation, {"InvokeId": "t-1", "InstanceId.x": "i-1"}, Kind.BAD_VALUE, "InstanceId.1"),
        (StopInvocation, {"InvokeId.1": "t-1"}, Kind.BAD_VALUE, "InvokeId"),
        (RunCommand, {**RUN, "Tag.1": "x", "Tag.1.Key": "y"}, Kind.BAD_VALUE, "Tag.1"),
        (RunCommand, {**RUN, "Name": "\udc80"}, Kind.BAD_VALUE, "Name"),
        (RunCommand, {**RUN, "Tag" + ".1" * 100_000: "x"}, Kind.BAD_VALUE, "too many parts"),
        (DescribeInvocations, {"PageSize": "ten"}, Kind.BAD_PAGE_SIZE, "PageSize"),
        (DescribeInvocations, {"MaxResults": ""}, Kind.BAD_MAX_RESULTS, "MaxResults"),
    ],
)
def test_what_cannot_be_read_is_refused_and_named(
    cls: type[Operation[Any]], flat: Mapping[str, str], kind: Kind, named: str
) -> None:
    with pytest.raises(Refused, match=named) as refused:
        operation_of(cls, flat, ours=False)

    assert refused.value.kind is kind


def test_unknown_names_are_ignored_as_the_vendor_does() -> None:
    flat = {**RUN, "Action": "RunCommand", "Unknown.1.Name": "x", "": "", ".": ""}

    assert operation_of(RunCommand, flat, ours=False) == operation_of(RunCommand, RUN, ours=False)


def test_an_object_in_a_list_may_hold_maps_which_travel_as_json() -> None:
    machine = InstanceRegistration(instance_id="i-1", host="h", tags={"role": "web"})

    flat = flattened(AddInstances(instances=[machine]))

    assert json.loads(flat["Instances.1.Tags"]) == {"role": "web"}
    assert operation_of(AddInstances, flat, ours=True).instances == (machine,)
