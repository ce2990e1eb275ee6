"""`cloudassist call`: any operation by the names of the API, answered as JSON.

    cloudassist call StopInvocation --InvokeId t-1 --InstanceId i-1 --InstanceId i-2
    cloudassist call TagResources --ResourceType instance --ResourceId i-1 --Tag.1.Key env --Tag.1.Value prod

What there is, and what it takes, is read off the types: there is nothing per operation here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from cloudassist_tasks.cli.errors import BadUsage, OperationFailed
from cloudassist_tasks.cli.render import document, line
from cloudassist_tasks.cli.session import opened
from cloudassist_tasks.contract.catalogue import OPERATIONS, operation_named
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.query import operation_of
from cloudassist_tasks.contract.wire import Field, Form, Shape, fields_of, to_wire
from cloudassist_tasks.domain.errors import Refused

__all__ = ["call"]

HELP = ("-h", "--help")

_SAID: Mapping[Form, str] = {
    Form.STRING: "text",
    Form.INTEGER: "number",
    Form.BOOLEAN: "true|false",
    Form.MAP: "one JSON object",
    Form.OBJECT: "one JSON object",
}


def call(
    context: typer.Context,
    action: Annotated[str | None, typer.Argument(help="The operation; --list shows them all.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the operations.")] = False,
) -> None:
    """Send any operation, with its parameters by the names of the API; print its answer as JSON.

    `call ACTION --help` shows what the operation takes. A list is a repeated option, or `--InstanceId.1 …`;
    an object is one JSON text."""
    words = list(context.args)
    if list_ or action == "--list":
        _list()
    elif action is None or action in HELP:
        line(context.get_help())
    elif any(word in HELP for word in words):
        _describe(_operation(action))
    else:
        asked = _asked(_operation(action), words)
        with opened() as session:
            document(to_wire(session.ask(asked)))


def _operation(action: str) -> type[Operation[Any]]:
    try:
        return operation_named(action)
    except Refused as refusal:
        raise BadUsage(f"{refusal}; `cloudassist call --list` shows the operations") from refusal


# -- what was typed


def _asked(operation: type[Operation[Any]], words: Sequence[str]) -> Operation[Any]:
    fields = {field.wire: field for field in fields_of(operation)}
    flat: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for name, text in _pairs(operation, words):
        field = fields.get(name.partition(".")[0])
        if field is None:
            raise BadUsage(
                f"--{name} is no parameter of {operation.action()};"
                f" see `cloudassist call {operation.action()} --help`"
            )
        if field.shape.form is Form.ARRAY and name == field.wire:
            numbers[name] = numbers.get(name, 0) + 1
            name = f"{name}.{numbers[name]}"
        if name in flat:
            raise BadUsage(f"--{name} is given twice; keep one of them")
        flat[name] = text
    try:
        return operation_of(operation, flat, ours=True)
    except Refused as refusal:
        raise OperationFailed(operation, refusal) from refusal


def _pairs(operation: type[Operation[Any]], words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`--Name value` or `--Name=value`."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or word == "--":
            raise BadUsage(
                f"{word!r} is no parameter; write --Name value (see `cloudassist call {operation.action()}"
                " --help`)"
            )
        name, equals, text = word.removeprefix("--").partition("=")
        if not equals:
            following = next(rest, None)
            if following is None:
                raise BadUsage(f"--{name} needs a value")
            text = following
        yield name, text


# -- what there is


def _list() -> None:
    for name, operation in sorted(OPERATIONS.items(), key=lambda item: (item[1].extension, item[0])):
        line(f"{name}{'  (ours)' if operation.extension else ''}")


def _describe(operation: type[Operation[Any]]) -> None:
    if operation.__doc__ and not operation.__doc__.startswith(f"{operation.__name__}("):
        line(" ".join(operation.__doc__.split()))
        line()
    fields = fields_of(operation)
    shown = [(f"--{form[0]}", form[1], field) for field in fields for form in _forms(field.wire, field.shape)]
    width = max((len(name) for name, _, _ in shown), default=0)
    for name, said, field in shown:
        line(f"  {name.ljust(width)}  {said}{_note(field)}".rstrip())


def _forms(name: str, shape: Shape) -> Iterator[tuple[str, str]]:
    """A parameter as it is typed; one of a list of objects is several."""
    if shape.item is None:
        yield name, _SAID[shape.form]
    elif shape.item.cls is None:
        yield name, f"{_SAID[shape.item.form]}; may be repeated"
    else:
        for field in fields_of(shape.item.cls):
            yield from _forms(f"{name}.N.{field.wire}", field.shape)


def _note(field: Field) -> str:
    return " (required)" if field.needed else ""
