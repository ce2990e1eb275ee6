"""From the types of the contract to the wire and back, by looking at the types alone.

`fields_of` is the one reading of a type; the check of an operation, the JSON of a reply and the parity
with the vendor's API all follow from it.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from cloudassist_tasks.contract.operation import Operation, Wire
from cloudassist_tasks.domain.errors import Kind, Refused

T = TypeVar("T")


class Form(StrEnum):
    """What a value is on the wire."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"
    MAP = "map"
    """Any JSON object; in a request it travels as one JSON text."""


_SCALARS: Mapping[object, Form] = {str: Form.STRING, int: Form.INTEGER, bool: Form.BOOLEAN}

_PYTHON: Mapping[Form, type] = {Form.STRING: str, Form.INTEGER: int, Form.BOOLEAN: bool}

_SAID: Mapping[Form, str] = {
    Form.STRING: "text",
    Form.INTEGER: "a whole number",
    Form.BOOLEAN: "true or false",
    Form.ARRAY: "a list",
    Form.OBJECT: "an object",
    Form.MAP: "an object",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a value; the shape of its items for an array, its type for an object."""

    form: Form
    item: "Shape | None" = None
    cls: type[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    name: str
    """In Python."""
    wire: str
    item: str
    """The name of the items inside the object that wraps an array; empty: not wrapped."""
    shape: Shape
    required: bool
    """By the vendor's word."""
    needed: bool
    """Has no default in Python."""
    ours: bool
    """Not the vendor's: read from clients of this product alone."""
    scalar: bool
    """One value, that is the same in Python and in JSON."""


def fields_of(cls: type[Any]) -> tuple[Field, ...]:
    """How each field of a type of the contract travels."""
    if cls not in _READ:
        _READ[cls] = _read(cls)
    return _READ[cls]


_READ: dict[type[Any], tuple[Field, ...]] = {}


def _read(cls: type[Any]) -> tuple[Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _field(one.name, hints[one.name], needed=one.default is MISSING and one.default_factory is MISSING)
        for one in fields(cls)
    )


def wire_name(name: str) -> str:
    """`invoke_id` is InvokeId on the wire."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _field(name: str, hint: object, *, needed: bool) -> Field:
    wire = Wire()
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        wire = next((note for note in notes if isinstance(note, Wire)), wire)
    shape = _shape(hint)
    return Field(
        name=name,
        wire=wire.name or wire_name(name),
        item=wire.item,
        shape=shape,
        required=wire.required or needed,
        needed=needed,
        ours=wire.ours,
        scalar=shape.form in _SCALARS.values() and not wire.item,
    )


def _shape(hint: object) -> Shape:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (hint,) = (one for one in get_args(hint) if one is not types.NoneType)
        return _shape(hint)
    if hint in _SCALARS:
        return Shape(_SCALARS[hint])
    if origin is not None and issubclass(origin, Mapping):
        return Shape(Form.MAP)
    if origin is not None and issubclass(origin, Sequence):
        return Shape(Form.ARRAY, item=_shape(get_args(hint)[0]))
    if isinstance(hint, type) and is_dataclass(hint):
        return Shape(Form.OBJECT, cls=hint)
    raise TypeError(f"{hint!r} has no form on the wire")


# -- Python to wire


def to_wire(value: Any) -> dict[str, object]:
    """An operation or a result as the JSON object that travels. What is None is left out."""
    wired: dict[str, object] = {}
    for field in fields_of(type(value)):
        content = getattr(value, field.name)
        if content is None:
            continue
        if field.scalar:  # nearly all of the hundreds of values in an answer
            wired[field.wire] = content
            continue
        plain = _plain(field.shape, content)
        wired[field.wire] = {field.item: plain} if field.item else plain
    return wired


def _plain(shape: Shape, content: Any) -> object:
    match shape:
        case Shape(Form.ARRAY, item=item) if item is not None:
            return [_plain(item, one) for one in content]
        case Shape(Form.OBJECT):
            return to_wire(content)
        case Shape(Form.MAP):
            return dict(content)
        case _:
            return content


# -- wire to Python


def from_wire(cls: type[T], wired: Mapping[str, object]) -> T:
    """The inverse of `to_wire`. Names that the type does not know are ignored.

    `Refused` MISSING_VALUE, BAD_VALUE."""
    given: dict[str, Any] = {}
    for field in fields_of(cls):
        content = wired.get(field.wire)
        if content is None:
            if field.needed:
                raise Refused(Kind.MISSING_VALUE, f"{field.wire} is missing; give it", about=field.wire)
            continue
        if field.scalar and type(content) is _PYTHON[field.shape.form]:  # as in `to_wire`
            given[field.name] = content
            continue
        if field.item:
            content = content.get(field.item, []) if isinstance(content, Mapping) else content
        given[field.name] = _typed(field.wire, field.shape, content)
    return cls(**given)


def _typed(name: str, shape: Shape, content: object) -> object:
    if not _has_form(shape.form, content):
        raise Refused(Kind.BAD_VALUE, f"{name} must be {_SAID[shape.form]}")
    if shape.item is not None and isinstance(content, Sequence):
        return tuple(_typed(name, shape.item, one) for one in content)
    if shape.cls is not None and isinstance(content, Mapping):
        return from_wire(shape.cls, content)
    return content


# -- checking what a program has made


def check(operation: Operation[Any], *, ours: bool = True) -> None:
    """Whether each field has its type: programs, and the texts of forms, are not type-checked. Unless a
    client is `ours`, it may not give what the vendor's operation does not have.

    `Refused` BAD_VALUE, MISSING_VALUE, naming the parameter."""
    _check_fields(operation)
    for field in fields_of(type(operation)):
        if field.ours and not ours and getattr(operation, field.name) is not None:
            raise Refused(Kind.BAD_VALUE, f"{field.wire} is taken from clients of this product only")


def _check_fields(value: Any) -> None:
    for field in fields_of(type(value)):
        content = getattr(value, field.name)
        if content is not None:
            _check_value(field.wire, field.shape, content)
        elif field.needed:
            raise Refused(Kind.MISSING_VALUE, f"{field.wire} is missing; give it", about=field.wire)


def _check_value(name: str, shape: Shape, content: object) -> None:
    if shape.cls is not None:
        if not isinstance(content, shape.cls):
            raise Refused(Kind.BAD_VALUE, f"{name} must be a {shape.cls.__name__}")
        _check_fields(content)
    elif not _has_form(shape.form, content):
        raise Refused(Kind.BAD_VALUE, f"{name} must be {_SAID[shape.form]}")
    elif shape.item is not None and isinstance(content, Sequence):
        for one in content:
            _check_value(name, shape.item, one)


def _has_form(form: Form, content: object) -> bool:
    match form:
        case Form.STRING:
            return isinstance(content, str)
        case Form.INTEGER:
            return isinstance(content, int) and not isinstance(content, bool)
        case Form.BOOLEAN:
            return isinstance(content, bool)
        case Form.ARRAY:
            return isinstance(content, Sequence) and not isinstance(content, str | bytes)
        case Form.OBJECT | Form.MAP:
            return isinstance(content, Mapping)
