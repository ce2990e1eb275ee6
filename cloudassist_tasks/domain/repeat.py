"""When a command is to run: what RepeatMode, Frequency and Timed mean together.

`Timed` has its classic meaning: `true` wants a `Frequency`; `false` alone is immediate. A Frequency makes
the request periodic whatever RepeatMode says. Source: RepeatMode of the vendor's API.
"""

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.invocation import RepeatMode


def asked_repeat_mode(
    repeat_mode: str | None, *, frequency: str | None = None, timed: bool | None = None
) -> RepeatMode:
    """What the three together ask for. `Refused` BAD_REPEAT_MODE, MISSING_FREQUENCY."""
    mode = _known(repeat_mode) if repeat_mode else None
    if frequency:
        return RepeatMode.PERIOD
    if mode is RepeatMode.PERIOD or (timed and mode in (None, RepeatMode.ONCE)):
        raise Refused(Kind.MISSING_FREQUENCY, "a periodic run needs Frequency, for example 0 */20 * * * *")
    return mode or RepeatMode.ONCE


def _known(repeat_mode: str) -> RepeatMode:
    try:
        return RepeatMode(repeat_mode)
    except ValueError:
        raise Refused(
            Kind.BAD_REPEAT_MODE,
            f"RepeatMode {repeat_mode[:40]!r} does not exist; there are {', '.join(RepeatMode)}",
        ) from None
