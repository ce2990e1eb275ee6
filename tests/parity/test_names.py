"""Our types say what the vendor's API says: names, types, what is required. Drift is a red test here.

`contract.json` is the vendor's API in a readable form; fields and operations that we have no use for yet
are listed below, by name, so that leaving something out is a decision.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.contract.catalogue import NOT_YET, OPERATIONS
from cloudassist_tasks.contract.operation import Operation, result_type
from cloudassist_tasks.contract.wire import Field, Form, Shape, fields_of

VENDORS = sorted(name for name, operation in OPERATIONS.items() if not operation.extension)

PARTIAL = {"DescribeInstances"}
"""Describes a cloud server in a hundred fields; ours is the part that means something for any machine."""


@cache
def contract() -> Mapping[str, Any]:
    """The vendor's API."""
    found: Mapping[str, Any] = json.loads((Path(__file__).parent / "contract.json").read_text())
    return found


def vendor_fields(fields: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """By wire name: the form of each field, as `our_fields` gives it."""
    return {field["wire"]: vendor_form(field) for field in fields}


def vendor_form(field: Mapping[str, Any]) -> object:
    match field["type"]:
        case "array":
            return [vendor_form(field["items"])]
        case "object":
            return vendor_fields(field["fields"])
        case scalar:
            return scalar


def our_fields(cls: type[Any]) -> dict[str, object]:
    """By wire name: a form's name, a list of one form, or a mapping of fields."""
    return {field.wire: our_form(field) for field in fields_of(cls) if not field.ours}


def our_form(field: Field) -> object:
    form = shape_form(field.shape)
    return {field.item: form} if field.item else form


def shape_form(shape: Shape) -> object:
    if shape.item is not None:
        return [shape_form(shape.item)]
    if shape.cls is not None:
        return our_fields(shape.cls)
    return str(shape.form)


def only_known(theirs: object, ours: object) -> object:
    """`theirs`, reduced to the names that `ours` has."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return {name: only_known(theirs[name], ours[name]) for name in theirs if name in ours}
    if isinstance(theirs, list) and isinstance(ours, list):
        return [only_known(theirs[0], ours[0])]
    return theirs


@pytest.mark.parametrize("action", VENDORS)
def test_a_request_has_the_vendors_parameters(action: str) -> None:
    theirs: object = vendor_fields(contract()["operations"][action]["request"])

    ours = our_fields(OPERATIONS[action])

    assert ours == (only_known(theirs, ours) if action in PARTIAL else theirs)


@pytest.mark.parametrize("action", VENDORS)
def test_a_result_has_the_vendors_fields(action: str) -> None:
    theirs: object = vendor_fields(contract()["operations"][action]["response"])

    ours = our_fields(result_type(OPERATIONS[action]))

    assert ours == (only_known(theirs, ours) if action in PARTIAL else theirs)


@pytest.mark.parametrize("action", VENDORS)
def test_what_is_required_is_what_the_vendor_requires(action: str) -> None:
    request = contract()["operations"][action]["request"]
    theirs = {field["wire"] for field in request if field.get("required")}

    ours = {field.wire for field in fields_of(OPERATIONS[action]) if field.required}

    assert ours == theirs


def test_every_extension_is_marked_and_unknown_to_the_vendor() -> None:
    extensions = {name for name, operation in OPERATIONS.items() if operation.extension}

    assert extensions.isdisjoint(contract()["operations"])
    assert set(OPERATIONS) - extensions == set(contract()["operations"]) - NOT_YET


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_map_travels_only_where_the_contract_has_one(operation: type[Operation[Any]]) -> None:
    maps = {field.wire for field in fields_of(operation) if field.shape.form is Form.MAP and not field.ours}

    assert maps <= {"Parameters"}
