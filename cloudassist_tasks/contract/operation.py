"""What an operation is: a frozen type; its class name is the Action, its fields are the parameters.

Everything else is derived by looking at the type (`wire.py`): names on the wire, what is required, how
values travel. The Python client, the endpoint and the command line send the same object, so a new
operation is a type here and a function in `operations/`, and nothing anywhere else.

Inside this package the vendor's names win.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an operation answers."""

    request_id: str = ""
    """Upper-case UUID of this one call."""


R = TypeVar("R", bound=Result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How a field travels, where the rule (snake_case becomes PascalCase) does not say it all."""

    name: str = ""
    """The name on the wire; empty: by the rule."""
    item: str = ""
    """A list travels inside an object under this name: `{"Tags": {"Tag": [...]}}`."""
    required: bool = False
    """The vendor calls it required although ours has a default."""
    ours: bool = False
    """A field that the vendor's operation does not have: clients of this product alone may send it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[R]):
    """A request. Lists may be given as lists; None means that a parameter was not sent."""

    extension: ClassVar[bool] = False
    """Ours, not the vendor's: answered to our own clients only."""

    @classmethod
    def action(cls) -> str:
        return cls.__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag of a request: one to attach, or one to look for."""

    key: str = ""
    """Left out: refused, by the name that the operation has for that."""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagItem:
    """A tag in a reply. (Requests say Key and Value, replies TagKey and TagValue.)"""

    tag_key: str
    tag_value: str


def tags(given: Mapping[str, str] | None) -> Sequence[Tag]:
    """A mapping as the tags of a request."""
    return tuple(Tag(key=key, value=value) for key, value in (given or {}).items())


def result_type(operation: type[Operation[R]]) -> type[R]:
    """The type of an operation's result, read off its bases."""
    found = _result_type(operation)
    if found is None:
        raise TypeError(f"{operation.__name__} names no result: inherit from Operation[…Result]")
    result: type[R] = found
    return result


def _result_type(cls: type[Any]) -> type[Any] | None:
    for base in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and issubclass(origin, Operation):
            argument = get_args(base)[0]
            if isinstance(argument, type):
                return argument
    return None
