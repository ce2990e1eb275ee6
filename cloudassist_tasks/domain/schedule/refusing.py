"""How a Frequency is refused: in one line that names the part that is wrong and what it may be."""

from cloudassist_tasks.domain.errors import Kind, Refused

SHOWN_CHARS = 60
"""So much of what was typed is repeated."""


def bad_frequency(message: str) -> Refused:
    """To be raised."""
    return Refused(Kind.BAD_FREQUENCY, message)


def shown(text: str) -> str:
    """What was typed, quoted and cut."""
    return repr(text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…")
