"""Checks that many texts of an API call share: their length, and characters that nobody can see."""

from collections.abc import Sequence

from cloudassist_tasks.domain.errors import Kind, Refused


def check_length(what: str, value: str, limit: int, kind: Kind) -> None:
    """At most `limit` characters."""
    if len(value) > limit:
        raise Refused(kind, f"{what} has {len(value)} characters, the limit is {limit}; shorten it")


def check_visible(what: str, value: str, kind: Kind) -> None:
    """No control characters, and nothing that UTF-8 cannot carry."""
    for position, character in enumerate(value):
        if ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F or 0xD800 <= ord(character) <= 0xDFFF:
            raise Refused(
                kind,
                f"{what} holds the control character U+{ord(character):04X} at position {position + 1};"
                " remove it",
            )


def some_of(names: Sequence[str], at_most: int = 5) -> str:
    """The first few names, and how many more there are: errors stay one line."""
    shown = ", ".join(names[:at_most])
    more = len(names) - at_most
    return f"{shown} and {more:,} more" if more > 0 else shown
