"""When a command is to run: what of RepeatMode, Frequency and Timed can be done.

`Timed` has its classic meaning: `true` wants a `Frequency`; `false` alone is immediate. A Frequency makes
the request periodic whatever RepeatMode says. Source: RepeatMode of the vendor's API.
"""

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.invocation import RepeatMode


def checked_repeat_mode(
    repeat_mode: str | None, *, frequency: str | None = None, timed: bool | None = None
) -> RepeatMode:
    """The mode that is asked for. Only Once and DryRun can be carried out now; the others are
    `Refused(NOT_SUPPORTED)`.

    `Refused` BAD_REPEAT_MODE, MISSING_FREQUENCY."""
    mode = asked_repeat_mode(repeat_mode, frequency=frequency, timed=timed)
    if mode not in (RepeatMode.ONCE, RepeatMode.DRY_RUN):
        raise Refused(
            Kind.NOT_SUPPORTED,
            f"RepeatMode {mode.value} is not supported yet; run it with RepeatMode Once, without Frequency",
        )
    return mode


def asked_repeat_mode(
    repeat_mode: str | None, *, frequency: str | None = None, timed: bool | None = None
) -> RepeatMode:
    """What the three together mean, whether or not it can be carried out."""
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
