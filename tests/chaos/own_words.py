"""What the plane's processes have logged themselves: errors and tracebacks that no fault explains, and those
that gave up before they worked.

A store that is away is told of by whoever needs it; so each event that is known to say so is explained while
it was down and shortly after, and at no other time.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

from tests.chaos.crew import Crew, Member
from tests.chaos.verdict import Offence, Wrong

__all__ = ["gave_up", "recorded_late", "told_in_logs", "unexpected", "when_slow"]

Times = Sequence[tuple[int, int]]
"""From when to when, in ms."""

STARTS_AGAIN_MS = 5_000
"""A store that has just been started loads its files."""

TOLD_AFTER_MS = 20_000
"""Pauses between attempts grow to some seconds, and the last failure is told of."""

JUST_BEFORE_MS = 3_000
"""A run that failed is told of before its task is."""

OF_A_STORE_THAT_IS_AWAY = re.compile(
    r"consumer: Cannot connect to|Couldn't (ack|reject) |audit_record_lost$"
    r"|Task \S+ raised unexpected: Broken\("
)
"""Events that say nothing else; and `run_faulted` by `Broken`."""

OF_A_SLOW_MACHINE = re.compile(
    r"The pool's loop has stalled |Task \S+ raised unexpected: .* no answer within "
)
"""That it, or the store, was frozen or got no turn for seconds: no offence, and what waited for it is late.
How often stands in the report."""

SILENT = "cannot be reached: no answer within "
"""What is said of a store that has taken a call and got no turn to answer: one that was killed refuses."""

GRAVE = ("error", "critical")
LATE_RECORD = "audit_record_late"


def gave_up(members: Sequence[Member], store_down: Times) -> Iterator[Offence]:
    """Those that neither the absence of the store explains, nor its silence."""
    for one in members:
        away = _overlaps(one.started_ms - STARTS_AGAIN_MS, one.ended_ms, store_down)
        if not away and SILENT not in one.log.read_text(errors="replace"):
            yield Offence(Wrong.CRASHED, one.name, "gave up before it worked", one.log.read_text()[-600:])


def told_in_logs(crew: Crew, store_down: Times) -> Iterator[Offence]:
    """Of all processes that there ever were."""
    for one in crew.members:
        lines = one.log.read_text(errors="replace").splitlines()
        for line in unexpected(lines, one.started_ms, store_down, one.frozen_ms):
            yield Offence(Wrong.CRASHED, one.name, "logged what nothing explains", line)


def unexpected(lines: Sequence[str], started_ms: int, store_down: Times, frozen: Times = ()) -> Iterator[str]:
    """Lines that must not be there. `frozen`: from when to when the process was."""
    at_ms, slow = started_ms, [*frozen, *slow_moments(lines)]
    for line in lines:
        said = _said(line)
        if said is None:
            if line.startswith("Traceback (most recent call last)"):
                yield f"{line} (after {_clock(at_ms)})"
            continue
        at_ms = _ms(said.get("time")) or at_ms
        if said.get("level") not in GRAVE and "exception" not in said:
            continue
        away = _overlaps(at_ms - TOLD_AFTER_MS, at_ms, store_down)
        late = _overlaps(at_ms - TOLD_AFTER_MS, at_ms + JUST_BEFORE_MS, slow)
        if not _tells_of_slowness(said) and not (_tells_of_the_store(said) and (away or late)):
            yield line


def recorded_late(crew: Crew) -> Set[str]:
    """What was opened by calls whose audit record had to wait for the store: it was away, and the process may
    have been killed before it was back."""
    said = (_said(line) for one in crew.members for line in one.log.read_text(errors="replace").splitlines())
    return {str(one["invoke_id"]) for one in said if one is not None and one.get("event") == LATE_RECORD}


def when_slow(crew: Crew) -> Sequence[int]:
    """When any process says so that the storm had not frozen, in ms."""
    return [
        at_ms
        for one in crew.members
        for at_ms, _ in slow_moments(one.log.read_text(errors="replace").splitlines())
        if not _overlaps(at_ms - TOLD_AFTER_MS, at_ms, one.frozen_ms)
    ]


def slow_moments(lines: Sequence[str]) -> Times:
    """When this process says that it, or the store, had no turn."""
    told = [said for line in lines if (said := _said(line)) is not None and _tells_of_slowness(said)]
    return [(at_ms, at_ms) for said in told if (at_ms := _ms(said.get("time")))]


def _tells_of_the_store(said: Mapping[str, Any]) -> bool:
    event = str(said.get("event", ""))
    faulted = event == "run_faulted" and said.get("fault") == "Broken"
    return faulted or OF_A_STORE_THAT_IS_AWAY.match(event) is not None


def _tells_of_slowness(said: Mapping[str, Any]) -> bool:
    return OF_A_SLOW_MACHINE.match(str(said.get("event", ""))) is not None


def _overlaps(from_ms: int, until_ms: int, times: Times) -> bool:
    return any(began_ms <= until_ms and ended_ms >= from_ms for began_ms, ended_ms in times)


def _said(line: str) -> dict[str, Any] | None:
    """None: it is not one of our own lines."""
    if not line.startswith("{"):
        return None
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _ms(time: object) -> int:
    """0: it has none."""
    try:
        return int(1_000 * datetime.fromisoformat(str(time)).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 0


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%H:%M:%S")
