"""What beats do, and what is asked of schedules, in any order: beats stand still, die, find what is gone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from cloudassist_tasks.domain import firing
from cloudassist_tasks.domain.caps import NO_CAPS, Caps
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey
from cloudassist_tasks.domain.invocation import Misfire, RepeatMode, Repetition, Timing, Why
from cloudassist_tasks.domain.schedule import Schedule, parse_schedule
from cloudassist_tasks.ports.schedules import Due, EndedParts, Overlooked, Planned
from tests.model import rounds
from tests.model.by_callers import BATCH, DAILY_QUOTA, Callers, caps
from tests.model.stage import HOUR_MS, INSTANCES, numbers, some_instances
from tests.model.world import STOPPED, Whole
from tests.support.store import make

LATE_MS = 10_000
BEATS = st.integers(0, 2)
FINDS = st.sampled_from(
    ["before its time", "before its time", "all", "all", "does not look", "looks elsewhere"]
)
BOOTS = st.sampled_from(["", "boot-1", "boot-2"])
SCHEDULES = 3
"""At most so many at once: they would have most of the steps."""


class Beats(Callers):
    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, Sequence[Due]] = {0: [], 1: [], 2: []}
        """What each beat has found due and not fired yet: for as long as it stood still."""

    def schedule(self, number: int) -> InvokeId:
        return list(self.world.wholes)[-1 - number % len(self.world.wholes)]

    def times(self, timing: Timing) -> Schedule:
        return parse_schedule(timing.frequency, created_ms=timing.created_ms)

    def next_of(self, id_: InvokeId, timing: Timing) -> tuple[int | None, int]:
        """When it is due next, and for which time: none that was there already."""
        whole = self.world.wholes.get(id_)
        tick_ms = firing.next_tick(
            self.times(timing),
            now_ms=self.now_ms,
            settled_ms=whole.settled_ms if whole else 0,
            tick_ms=whole.tick_ms if whole else self.now_ms + 1,
            invoke_id=id_,
            jitter_s=timing.jitter_s,
        )
        if tick_ms is None:
            return None, 0
        return firing.due_ms(tick_ms, invoke_id=id_, jitter_s=timing.jitter_s), tick_ms

    @initialize(misfire=st.sampled_from(Misfire), once=st.sampled_from([False, False, True]))
    def open_one_schedule(self, misfire: Misfire, once: bool) -> None:
        self.open_schedule(INSTANCES[:2], misfire, 0, NO_CAPS, True, once)

    @precondition(lambda self: len(self.world.wholes) < SCHEDULES)
    @rule(
        members=some_instances,
        misfire=st.sampled_from(Misfire),
        jitter_s=st.integers(0, 9),
        capped=caps,
        kept=st.booleans(),
        once=st.booleans(),
    )
    def open_schedule(
        self, members: list[InstanceId], misfire: Misfire, jitter_s: int, capped: Caps, kept: bool, once: bool
    ) -> None:
        at = datetime.fromtimestamp(self.now_ms // 1_000 + 20, UTC)
        spec = make.spec(
            self.kept_command if kept else make.command(kept=False),
            id=self.new_id(),
            repeat_mode=RepeatMode.PERIOD,
            frequency=f"at({at:%Y-%m-%d %H:%M:%S})" if once else "rate(10s)",
            misfire=misfire,
            jitter_s=jitter_s,
            caps=capped,
            webhook="http://127.0.0.1:9/",
            created_ms=self.now_ms,
        )
        due_ms, tick_ms = self.next_of(spec.id, spec.timing)
        opening = make.opening(*members, spec=spec, due_ms=due_ms, tick_ms=tick_ms, daily_quota=DAILY_QUOTA)
        self.open_(opening)

    # -- beats

    def look(self, beat: int) -> None:
        found = self.do(self.store.schedules.due(now_ms=self.now_ms, limit=10))
        expected = rounds.due(self.world, now_ms=self.now_ms)
        self.same(list(found), list(expected))
        for earlier in self.seen.values():
            still = self.do(self.store.schedules.still_due(earlier))
            self.same(list(still), [due for due in earlier if rounds.is_still_due(self.world, due)])
        self.seen[beat] = found

    @precondition(lambda self: any(self.seen.values()))
    @rule(beat=BEATS)
    def a_beat_fires(self, beat: int) -> None:
        """What it found due, however long ago."""
        self.fire(beat)

    @precondition(lambda self: any(whole.due_ms for whole in self.world.wholes.values()))
    @rule(beat=st.none() | BEATS, late_ms=st.sampled_from([0, 0, 0, 9_000, 25_000]))
    def its_time_comes(self, beat: int | None, late_ms: int) -> None:
        """All beats see it, and one, or none so far, fires; the others may have died, or may be slow."""
        next_ms = min(whole.due_ms for whole in self.world.wholes.values() if whole.due_ms)
        self.time_passes(max(0, next_ms + late_ms - self.now_ms))
        for each in self.seen:
            self.look(each)
        if beat is not None:
            self.fire(beat)

    def fire(self, beat: int) -> None:
        """Also what another has fired meanwhile: it may have died between looking and firing."""
        planned = [self.planned(due) for due in self.seen[beat]]
        found = self.do(self.store.schedules.fire(planned, batch=BATCH, now_ms=self.now_ms))
        expected = [rounds.fire(self.world, one, batch=BATCH, now_ms=self.now_ms) for one in planned]
        self.same(list(found), expected)
        self.seen[beat] = []
        self.note_new_runs()

    def planned(self, due: Due, late_ms: int = LATE_MS) -> Planned:
        id_, timing = due.invoke_id, due.timing
        plan = firing.plan(
            self.times(timing),
            due.tick_ms,
            now_ms=self.now_ms,
            late_ms=late_ms,
            misfire=timing.misfire,
            invoke_id=id_,
            jitter_s=timing.jitter_s,
        )
        tick_ms = plan.next_tick_ms
        next_ms = tick_ms and firing.due_ms(tick_ms, invoke_id=id_, jitter_s=timing.jitter_s)
        return Planned(due=due, plan=plan, next_due_ms=next_ms)

    # -- beside the clock

    @precondition(lambda self: self.world.wholes)
    @rule(
        number=numbers,
        only=st.none() | st.sampled_from(INSTANCES),
        boot=st.none() | st.tuples(BOOTS, BOOTS),
        last=st.booleans(),
    )
    def somebody_wants_a_round(
        self, number: int, only: InstanceId | None, boot: tuple[str, str] | None, last: bool
    ) -> None:
        why = Why.BOOT if only and boot and boot[1] else Why.ASKED
        boot, last = (boot, last) if why is Why.BOOT else (None, False)
        id_ = self.schedule(number)
        found = self.do(
            self.store.schedules.open_round(
                id_, why=why, batch=BATCH, now_ms=self.now_ms, only=only, boot=boot, last=last
            )
        )
        expected = rounds.open_round(
            self.world, id_, why=why, batch=BATCH, now_ms=self.now_ms, only=only, boot=boot, last=last
        )
        self.same(found, expected)
        self.note_new_runs()

    def overlooked(self, whole: Whole, how: str) -> Overlooked:
        """What the caller has found: all that is due is missed, if it looks, and looks where it stands now.
        Mostly it comes too late, and no beat was up."""
        if whole.due_ms is not None and how != "before its time":
            self.time_passes(max(0, whole.due_ms + LATE_MS + 2_000 - self.now_ms))
        if whole.due_ms is None or whole.due_ms > self.now_ms or how == "does not look":
            return Overlooked(due_ms=whole.due_ms)
        plan = self.planned(rounds.standing(whole), late_ms=-1).plan
        return Overlooked(
            due_ms=whole.due_ms - (how == "looks elsewhere"),
            missed=plan.missed,
            first_ms=plan.missed_from_ms,
            last_ms=plan.missed_to_ms,
        )

    @precondition(lambda self: self.world.wholes)
    @rule(number=numbers, how=FINDS)
    def pause_or_resume(self, number: int, how: str) -> None:
        """One that has no time to come any more is not resumed."""
        id_ = self.schedule(number)
        whole = self.world.wholes[id_]
        if not whole.paused:
            left = self.overlooked(whole, how)
            found = self.do(self.store.schedules.pause(id_, left, now_ms=self.now_ms))
            self.same(found, rounds.pause(self.world, id_, left, now_ms=self.now_ms))
            return
        next_ms, tick_ms = self.next_of(id_, whole.spec.timing)
        if next_ms is not None:
            seen = self.seen_paused(id_, how)
            again = {"next_ms": next_ms, "tick_ms": tick_ms, "now_ms": self.now_ms}
            found = self.do(self.store.schedules.resume(id_, seen, **again))
            self.same(found, rounds.resume(self.world, id_, seen, **again))

    def seen_paused(self, id_: InvokeId, how: str) -> Repetition:
        """As the caller has read it: now, or before others changed its spec, or had a time of it fired."""
        seen = self.world.invocation(RoundKey(id_)).repetition
        assert seen is not None
        if how == "does not look":
            return replace(seen, version=seen.version - 1)
        return replace(seen, settled_ms=seen.settled_ms - (how == "looks elsewhere"))

    @precondition(lambda self: self.world.wholes)
    @rule(
        number=numbers,
        added=st.lists(st.sampled_from(INSTANCES), max_size=2),
        retimed=st.booleans(),
        other=st.booleans(),
        behind=st.integers(0, 4).map(lambda n: n // 4),
        token=st.sampled_from(["", "", "change-1"]),
        how=FINDS,
    )
    def modify(
        self,
        number: int,
        added: list[InstanceId],
        retimed: bool,
        other: bool,
        behind: int,
        token: str,
        how: str,
    ) -> None:
        """`other`: the command is another, kept as the one before; `behind`: somebody else has changed it."""
        whole = self.world.wholes[self.schedule(number)]
        is_kept = whole.spec.command.kept
        spec = replace(
            whole.spec,
            timeout_s=whole.spec.timeout_s + 1,
            frequency="rate(20s)" if retimed else whole.spec.frequency,
            command=make.command(kept=is_kept) if other else whole.spec.command,
        )
        left = self.overlooked(whole, how)
        next_ms, tick_ms = self.next_of(spec.id, spec.timing) if retimed else (None, 0)
        strangers = [id_ for id_ in dict.fromkeys(added) if id_ not in whole.members]
        version = len(whole.specs) - behind
        found = self.do(
            self.store.schedules.modify(
                spec,
                version=version,
                added=strangers,
                next_ms=next_ms,
                tick_ms=tick_ms,
                now_ms=self.now_ms,
                overlooked=left,
                keep_with_quota=99 if other and is_kept else 0,
                token=token,
                request_hash="changes it",
            )
        )
        expected = rounds.modify(
            self.world,
            spec,
            version=version,
            added=strangers,
            next_ms=next_ms,
            tick_ms=tick_ms,
            now_ms=self.now_ms,
            overlooked=left,
            token=token,
        )
        self.same(found, expected)

    # -- ends

    @precondition(lambda self: self.world.wholes)
    @rule(
        number=numbers,
        some=some_instances,
        how=st.sampled_from(["some leave", "parts", "parts", "parts", "it ends", "its caller dies"]),
    )
    def end_schedule(self, number: int, some: list[InstanceId], how: str) -> None:
        id_ = self.schedule(number)
        if how in ("some leave", "parts"):
            self.end_parts(self.world.wholes[id_], some, leave=how == "some leave")
            return
        self.end(id_)
        if how == "it ends":
            self.end_and_stop(id_)

    def end(self, id_: InvokeId) -> None:
        found = self.do(self.store.schedules.end(id_, now_ms=self.now_ms))
        self.same(found, rounds.end(self.world, id_, now_ms=self.now_ms))

    def end_and_stop(self, id_: InvokeId) -> None:
        """As the engine does for a schedule that has ended; of one that was exhausted the runs go on."""
        whole = self.world.wholes[id_]
        parts = self.end_parts(whole, list(whole.members), leave=False)
        if whole.ended == STOPPED:
            for round_, busy in parts.busy.items():
                self.stop(RoundKey(id_, round_), list(busy))

    def end_parts(self, whole: Whole, some: list[InstanceId], *, leave: bool) -> EndedParts:
        id_ = whole.spec.id
        found = self.do(self.store.schedules.end_parts(id_, some, leave=leave, now_ms=self.now_ms))
        expected = rounds.end_parts(self.world, id_, some, leave=leave, now_ms=self.now_ms)
        return self.same(found, expected)

    @precondition(lambda self: self.world.wholes)
    @rule(number=numbers, keep=st.integers(0, 4), age_ms=st.sampled_from([0, 15_000, HOUR_MS]))
    def forget_rounds(self, number: int, keep: int, age_ms: int) -> None:
        id_, before_ms = self.schedule(number), self.now_ms - age_ms
        found = self.do(self.store.schedules.forget_rounds(id_, keep=keep, before_ms=before_ms))
        self.same(found, rounds.forget_rounds(self.world, id_, keep=keep, before_ms=before_ms))
