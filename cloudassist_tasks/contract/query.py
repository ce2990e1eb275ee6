"""Operations as flat parameters, and flat parameters as operations: how requests travel.

    InstanceId.1=i-1&InstanceId.2=i-2&Tag.1.Key=env&Tag.1.Value=prod&Parameters={"name":"Jack"}&Timeout=60

Lists are numbered, items of lists that are objects carry the names of their fields behind the number, and
any other object is one JSON text. Everything is read off the types (`wire.fields_of`); the endpoint, our
client and `cloudassist call` have nothing per operation.
"""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.wire import Field, Form, Shape, fields_of, from_wire, to_wire
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.parameters import values_from_json

__all__ = ["flattened", "operation_of"]

O = TypeVar("O", bound=Operation[Any])  # noqa: E741 - an operation

Tree = dict[str, "str | Tree"]
"""Parameters by the parts of their names: `Tag.1.Key` is below Tag, below 1."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_INDEX = re.compile(r"[0-9]{1,9}")
_TRUTH = {"true": True, "false": False}

DEEPEST = 8
"""Dots in a name. `Tag.1.Key` has two; millions would be a tree to fill our memory."""

_LONGEST_LITERAL = 64 * 1024
"""A map written as Python writes it is read up to this length."""

_KIND_OF_BAD: Mapping[str, Kind] = {
    "MaxResults": Kind.BAD_MAX_RESULTS,
    "PageNumber": Kind.BAD_PAGE_NUMBER,
    "PageSize": Kind.BAD_PAGE_SIZE,
}
"""Parameters whose wrong values have codes of their own."""


# -- flat to typed


def operation_of(cls: type[O], parameters: Mapping[str, str], *, ours: bool) -> O:
    """The operation that these parameters ask for. Unknown names are ignored, as the vendor does.

    ours: the sender is a client of this product; from others, fields that the vendor's operation does not
    have are unknown names. `Refused` MISSING_VALUE, BAD_VALUE and the kinds of bad pages and parameters,
    naming the parameter."""
    known = {field.wire: field for field in fields_of(cls) if ours or not field.ours}
    tree = _tree({name: text for name, text in parameters.items() if name.partition(".")[0] in known})
    given: dict[str, Any] = {}
    for field in known.values():
        content = _read(field, tree.get(field.wire))
        if content is not None:
            given[field.name] = content
        elif field.needed:
            raise Refused(Kind.MISSING_VALUE, f"{field.wire} is missing; give it", about=field.wire)
    return cls(**given)


def _tree(parameters: Mapping[str, str]) -> Tree:
    tree: Tree = {}
    for name, text in parameters.items():
        _check_text(name, text)
        if name.count(".") > DEEPEST:
            raise Refused(Kind.BAD_VALUE, f"{name[:80]}… has too many parts; it names no parameter")
        *path, last = name.split(".")
        place = tree
        for part in path:
            below = place.setdefault(part, {})
            if isinstance(below, str):
                raise Refused(Kind.BAD_VALUE, f"{name[:80]} is given beside a value of its own; keep one")
            place = below
        if last in place:
            raise Refused(Kind.BAD_VALUE, f"{name[:80]} is given beside a value of its own; keep one")
        place[last] = text
    return tree


def _check_text(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(Kind.BAD_VALUE, f"{name[:80]} is not UTF-8; encode it so") from None


def _read(field: Field, found: "str | Tree | None") -> object:
    """The value of a field; None: it was not sent."""
    if found is None or found == {}:
        return None
    if field.wire == "Parameters" and isinstance(found, str):
        return _values(found)
    return _typed(field.wire, field.shape, found)


def _typed(name: str, shape: Shape, found: "str | Tree") -> object:
    match shape:
        case Shape(Form.ARRAY, item=item) if item is not None:
            return tuple(_typed(f"{name}.{index}", item, one) for index, one in _numbered(name, found))
        case Shape(Form.OBJECT, cls=cls) if cls is not None:
            return _object(name, cls, found)
        case Shape(Form.MAP):
            return _json_object(name, _text(name, found))
        case _:
            return _scalar(name, shape.form, _text(name, found))


def _numbered(name: str, found: "str | Tree") -> Sequence[tuple[str, "str | Tree"]]:
    """The items of a list by their numbers, not by the texts of these. A list without numbers is not
    ignored: less would be stopped, or more, than the sender means."""
    if isinstance(found, str) or not all(_INDEX.fullmatch(index) for index in found):
        raise Refused(Kind.BAD_VALUE, f"{name} is a list; write {name}.1, {name}.2, …")
    return sorted(found.items(), key=lambda item: int(item[0]))


def _text(name: str, found: "str | Tree") -> str:
    if not isinstance(found, str):
        raise Refused(Kind.BAD_VALUE, f"{name} is one value; leave out what stands behind {name}.")
    return found


def _object(name: str, cls: type[Any], found: "str | Tree") -> object:
    if isinstance(found, str):
        return from_wire(cls, _json_object(name, found))
    given: dict[str, Any] = {}
    for field in fields_of(cls):
        content = _read(field, found.get(field.wire))
        if content is None and field.needed:
            if field.shape.form is not Form.STRING:
                raise Refused(Kind.MISSING_VALUE, f"{name}.{field.wire} is missing; give it")
            content = ""  # a tag without a key has a code of its own, which the operation knows
        if content is not None:
            given[field.name] = content
    return cls(**given)


def _scalar(name: str, form: Form, text: str) -> object:
    match form:
        case Form.INTEGER:
            return int(text) if _WHOLE.fullmatch(text) else _refuse(name, "a whole number")
        case Form.BOOLEAN:
            value = _TRUTH.get(text.lower())
            return value if value is not None else _refuse(name, "true or false")
        case _:
            return text


def _refuse(name: str, what: str) -> object:
    raise Refused(_KIND_OF_BAD.get(name, Kind.BAD_VALUE), f"{name} must be {what}")


def _json_object(name: str, text: str) -> Mapping[str, object]:
    try:
        parsed = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise Refused(Kind.BAD_VALUE, f"{name} must be one JSON object")
    return parsed


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _values(text: str) -> Mapping[str, object]:
    """The values of a command's parameters. The vendor's old library sends a dictionary as Python writes it.

    `Refused` as `values_from_json`."""
    try:
        return values_from_json(text)
    except Refused as refusal:
        if refusal.kind is not Kind.PARAMETER_NOT_AN_OBJECT or not text.startswith("{"):
            raise
        literal = _literal(text)
        if not isinstance(literal, dict) or not all(isinstance(key, str) for key in literal):
            raise
        return literal


def _literal(text: str) -> object:
    if len(text) > _LONGEST_LITERAL:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


# -- typed to flat


def flattened(operation: Operation[Any]) -> dict[str, str]:
    """The parameters that ask for this operation. What is None, and an empty list, is left out."""
    flat: dict[str, str] = {}
    for field in fields_of(type(operation)):
        _flatten(field.wire, field.shape, getattr(operation, field.name), flat.__setitem__, item=False)
    return flat


def _flatten(name: str, shape: Shape, content: Any, put: Callable[[str, str], None], *, item: bool) -> None:
    if content is None:
        return
    match shape:
        case Shape(Form.ARRAY, item=shape_of_item) if shape_of_item is not None:
            for number, one in enumerate(content, start=1):
                _flatten(f"{name}.{number}", shape_of_item, one, put, item=True)
        case Shape(Form.OBJECT) if item:
            for field in fields_of(type(content)):
                _flatten(f"{name}.{field.wire}", field.shape, getattr(content, field.name), put, item=False)
        case Shape(Form.OBJECT):
            put(name, _json(to_wire(content)))
        case Shape(Form.MAP):
            put(name, _json(dict(content)))
        case Shape(Form.BOOLEAN):
            put(name, "true" if content else "false")
        case _:
            put(name, str(content))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
