"""Whether schedules fired each of their times once, and no boot opened two rounds."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.invocation import AT_BOOT, Invocation, RepeatMode, Why
from cloudassist_tasks.domain.schedule import parse_schedule
from tests.chaos.records import Records
from tests.chaos.verdict import Offence, Wrong

__all__ = ["judged"]

EDGE_MS = 2_000
"""Next to its beginning and its stop, a schedule may fire or not."""
OF_BEFORE = 1
"""The machines' uptime is that of the kernel below, so their boot ids are believed (domain/boot.py): one boot
from before it was asked for, which nobody had seen by then, may count as after it."""
SEEN_MS = 60_000
"""A host is looked at every few seconds; this is enough where workers are killed."""
LATE_MS = 15_000
"""A time is missed when no beat has seen it for `late_s`; and beats need a moment after an absence."""


def judged(
    records: Records,
    *,
    away: Sequence[tuple[int, int]],
    boots: Mapping[str, Sequence[tuple[int, int]]],
    stopped_ms: Mapping[str, int],
) -> Iterator[Offence]:
    """`away`: from when to when, in ms, the store was down, or nobody beat or had a turn to. `boots`: when
    each machine went down and was up again. `stopped_ms`: when the stop of a schedule was acknowledged."""
    for invoke_id, whole in records.wholes.items():
        rounds = [one for of, one in records.rounds.items() if of.invoke_id == invoke_id]
        if whole.spec.repeat_mode is RepeatMode.PERIOD:
            yield from _of_clock(whole, rounds, records, away)
        elif whole.spec.repeat_mode in AT_BOOT:
            for member in records.members[invoke_id]:
                own = [one for one in rounds if RunKey(invoke_id, member, one.round) in records.runs]
                yield from _of_boots(whole, len(own), boots.get(member, ()))
        yield from _after_its_stop(invoke_id, rounds, stopped_ms.get(invoke_id, 0))


def _of_boots(whole: Invocation, rounds: int, boots: Sequence[tuple[int, int]]) -> Iterator[Offence]:
    """Rounds of one machine."""
    invoke_id, from_ms, until_ms = whole.spec.id, whole.spec.created_ms, whole.stop_ms or whole.finish_ms
    most = sum(up_ms + EDGE_MS >= from_ms and down_ms <= until_ms for down_ms, up_ms in boots)
    if any(up_ms + EDGE_MS < from_ms for _, up_ms in boots):
        most += OF_BEFORE
    if rounds > most:
        yield Offence(Wrong.DOUBLED, invoke_id, f"{rounds} rounds after {most} boots")
    clear = [1 for down_ms, up_ms in boots if down_ms > from_ms + SEEN_MS and up_ms + SEEN_MS < until_ms]
    if clear and not rounds:
        yield Offence(Wrong.LOST, invoke_id, f"no round after {len(clear)} boots")


def _after_its_stop(invoke_id: str, rounds: Sequence[Invocation], stopped_ms: int) -> Iterator[Offence]:
    for one in rounds:
        if stopped_ms and one.firing and one.firing.opened_ms > stopped_ms + EDGE_MS:
            late_s = (one.firing.opened_ms - stopped_ms) / 1_000
            yield Offence(Wrong.UNTRUE, str(one.of), f"opened {late_s:.0f} s after the stop of its schedule")


def _of_clock(
    whole: Invocation, rounds: Sequence[Invocation], records: Records, away: Sequence[tuple[int, int]]
) -> Iterator[Offence]:
    invoke_id = whole.spec.id
    fired = Counter(one.firing.at_ms for one in rounds if one.firing and one.firing.why is Why.TICK)
    for at_ms, times in fired.items():
        if times > 1:
            yield Offence(Wrong.DOUBLED, invoke_id, f"its time {at_ms} fired {times} times")
    missed = records.missed[invoke_id]
    due = _times(whole, until_ms=(whole.stop_ms or whole.finish_ms) - EDGE_MS)
    for at_ms in due:
        passed_over = next((one for one in missed if one.first_ms <= at_ms <= one.last_ms), None)
        if not fired[at_ms] and passed_over is None:
            yield Offence(Wrong.LOST, invoke_id, f"its time {at_ms} neither fired nor was missed visibly")
        if passed_over is not None and not _was_away(at_ms, away):
            yield Offence(Wrong.LOST, invoke_id, f"its time {at_ms} was missed while a beat was up")
    for at_ms in fired.keys() - set(_times(whole, until_ms=(whole.stop_ms or whole.finish_ms) + EDGE_MS)):
        yield Offence(Wrong.UNTRUE, invoke_id, f"it fired at {at_ms}, which is none of its times")


def _times(whole: Invocation, *, until_ms: int) -> Sequence[int]:
    timing = whole.spec.timing
    schedule = parse_schedule(timing.frequency, created_ms=timing.created_ms, zone=timing.zone)
    found: list[int] = []
    at_ms: int | None = timing.created_ms
    while at_ms is not None and (at_ms := schedule.next_after(at_ms)) is not None and at_ms <= until_ms:
        found.append(at_ms)
    return found


def _was_away(at_ms: int, away: Sequence[tuple[int, int]]) -> bool:
    return any(
        from_ms - EDGE_MS <= at_ms + LATE_MS and until_ms >= at_ms - EDGE_MS for from_ms, until_ms in away
    )
