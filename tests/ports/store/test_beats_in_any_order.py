"""Beats look, fire, die and stand still in any order, and clocks jump: each time fires once, or is missed."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cloudassist_tasks.domain import firing
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Misfire, RepeatMode, Why
from cloudassist_tasks.domain.schedule import parse_schedule
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.schedules import Due, Planned
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make
from tests.support.valkey import ValkeyServer

T = TypeVar("T")

PERIOD_MS, LATE_MS = 10_000, 10_000
GRID = parse_schedule("rate(10s)", created_ms=0)
BEATS = st.integers(0, 2)


class Beats(RuleBasedStateMachine):
    server: ValkeyServer

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.do(RedisStore.open(self.server.url()))
        self.do(self.store.link.call("FLUSHDB"))
        self.now_ms = 1_000
        self.schedules: dict[InvokeId, tuple[Misfire, int]] = {}
        self.seen: dict[int, list[Due]] = {0: [], 1: [], 2: []}
        """What each beat has found due and not fired yet: for as long as it stood still."""

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(step)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()

    @initialize(
        misfires=st.lists(st.sampled_from(Misfire), min_size=1, max_size=3), jitter_s=st.integers(0, 9)
    )
    def open(self, misfires: list[Misfire], jitter_s: int) -> None:
        for number, misfire in enumerate(misfires):
            spec = make.spec(
                id=InvokeId(f"t-{number}"),
                repeat_mode=RepeatMode.PERIOD,
                frequency="rate(10s)",
                misfire=misfire,
                jitter_s=jitter_s,
                created_ms=0,
            )
            due_ms = firing.due_ms(PERIOD_MS, invoke_id=spec.id, jitter_s=jitter_s)
            opening = make.opening("i-1", "i-2", spec=spec, due_ms=due_ms, tick_ms=PERIOD_MS)
            self.do(self.store.invocations.open(opening, now_ms=self.now_ms))
            self.schedules[spec.id] = (misfire, jitter_s)

    @rule(ms=st.sampled_from([100, 900, 5_000, 10_000, 10_000, 35_000]))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule(ms=st.integers(1, 20_000))
    def the_clock_steps_back(self, ms: int) -> None:
        self.now_ms = max(1_000, self.now_ms - ms)

    @rule(beat=BEATS)
    def a_beat_looks(self, beat: int) -> None:
        self.seen[beat] = list(self.do(self.store.schedules.due(now_ms=self.now_ms, limit=10)))

    @rule(beat=BEATS)
    def a_beat_dies(self, beat: int) -> None:
        self.seen[beat] = []

    @precondition(lambda self: any(self.seen.values()))
    @rule(beat=BEATS)
    def a_beat_fires(self, beat: int) -> None:
        for due in self.seen[beat]:
            timing = due.timing
            plan = firing.plan(
                GRID,
                due.tick_ms,
                now_ms=self.now_ms,
                late_ms=LATE_MS,
                misfire=timing.misfire,
                invoke_id=due.invoke_id,
                jitter_s=timing.jitter_s,
            )
            assert plan.next_tick_ms is not None
            next_ms = firing.due_ms(plan.next_tick_ms, invoke_id=due.invoke_id, jitter_s=timing.jitter_s)
            planned = [Planned(due=due, plan=plan, next_due_ms=next_ms)]
            self.do(self.store.schedules.fire(planned, batch=9, now_ms=self.now_ms))
        self.seen[beat] = []

    @rule(number=st.integers(0, 99), status=st.sampled_from([RunStatus.SUCCESS, RunStatus.FAILED]))
    def a_run_ends(self, number: int, status: RunStatus) -> None:
        for of in self.do(self.store.invocations.open_rounds(limit=99)):
            for member in self.do(self.store.invocations.members(of.invoke_id, round=of.round)):
                if number % 2:
                    outcome = make.success()
                    self.do(
                        self.store.invocations.abort_unclaimed(
                            of.invoke_id, [member], round=of.round, outcome=outcome, now_ms=self.now_ms
                        )
                    )
                number //= 2

    @invariant()
    def each_time_fired_once_or_was_missed(self) -> None:
        for id_, (misfire, _) in self.schedules.items():
            invocation = self.do(self.store.invocations.get(id_))
            assert invocation is not None
            assert invocation.repetition is not None
            rounds = self.do(self.store.schedules.rounds(id_, limit=999))
            times = [one.firing.at_ms for one in rounds if one.firing and one.firing.why is Why.TICK]
            assert len(set(times)) == len(times)
            over = invocation.repetition.tick_ms // PERIOD_MS - 1
            if misfire is Misfire.SKIP:
                assert len(times) + invocation.repetition.missed == over
            self._check_the_whole(id_)

    def _check_the_whole(self, id_: InvokeId) -> None:
        """Its tally says what its instances' runs say."""
        invocation = self.do(self.store.invocations.get(id_))
        assert invocation is not None
        runs = self.do(self.store.runs.of(invocation, self.do(self.store.invocations.members(id_))))
        assert invocation.tally == Counter(run.status for run in runs)


@pytest.fixture(autouse=True)
def _one_server(store_server: ValkeyServer) -> None:
    Beats.server = store_server


TestBeats = Beats.TestCase
TestBeats.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
