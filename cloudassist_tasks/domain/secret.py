"""A value that no log, error, repr or message shows."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """Holds scripts, parameters, passwords and keys; `reveal()` is the only way to them."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The value itself: call it as late as possible."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash(self._value)
