"""Whatever workers, callers and reconcilers do, in whatever order: the store's promises hold after each step.

Three workers keep every claim they ever had, so most of their moves are stale; the instances are few and
take two runs at once, so that runs wait, are promised slots, and are stopped while they wait. Some
invocations have caps; runs are claimed though nobody has published them, as after a store that forgot.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.rollup import UNSUCCESSFUL
from cloudassist_tasks.domain.status import FINAL, OPEN, Phase, RunStatus
from cloudassist_tasks.ports.events import OLDEST, EventKind
from cloudassist_tasks.ports.listing import InvocationFilter
from cloudassist_tasks.ports.store import ClaimWord, Held
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.mapping import hash_of, run_from
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make
from tests.support.valkey import ValkeyServer

T = TypeVar("T")

INSTANCES = [InstanceId(f"i-{n}") for n in range(4)]
WORKERS = [WorkerId(f"w-{n}") for n in range(3)]
AT_ONCE, MAY_WAIT, WINDOW = 2, 1, 3

numbers = st.integers(0, 10_000)
caps = st.builds(
    Caps,
    max_concurrency=st.none() | st.builds(Share, st.integers(1, 4)) | st.just(Share(30, percent=True)),
    max_errors=st.none() | st.builds(Share, st.integers(0, 3)) | st.just(Share(30, percent=True)),
)


class AnyOrder(RuleBasedStateMachine):
    server: ValkeyServer

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.do(RedisStore.open(self.server.url()))
        self.do(self.store.link.call("FLUSHDB"))
        self.now_ms = 1_000_000
        self.invocations: list[list[RunKey]] = []
        self.ever_held: list[Held] = []
        self.closes: Counter[InvokeId] = Counter()
        self.ended: dict[RunKey, Run] = {}
        self.names: dict[str, set[str]] = {}
        self.alive: set[WorkerId] = set()
        self.looks = 0

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(step)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()

    def later(self) -> int:
        self.now_ms += 1_000
        return self.now_ms

    def keys_of(self, number: int) -> list[RunKey]:
        return self.invocations[number % len(self.invocations)]

    def run_of(self, number: int) -> RunKey:
        every = [key for keys_ in self.invocations for key in keys_]
        return every[number % len(every)]

    def held_of(self, number: int) -> Held:
        """Mostly a recent claim."""
        return self.ever_held[-1 - number % len(self.ever_held)]

    def closed(self, invoke_id: InvokeId, closed: bool) -> None:
        self.closes[invoke_id] += closed

    # -- callers

    @initialize(members=st.sets(st.sampled_from(INSTANCES), min_size=2), capped=caps)
    def open_first(self, members: set[InstanceId], capped: Caps) -> None:
        self.open(members, capped)

    @precondition(lambda self: len(self.invocations) < 5)
    @rule(members=st.sets(st.sampled_from(INSTANCES), min_size=1), capped=caps)
    def open(self, members: set[InstanceId], capped: Caps) -> None:
        spec = make.spec(caps=capped, webhook="http://127.0.0.1:9/")
        self.invocations.append(
            self.do(make.opened(self.store, *sorted(members), spec=spec, now_ms=self.later()))
        )

    @rule(number=numbers)
    def mark_stop(self, number: int) -> None:
        invoke_id = self.keys_of(number)[0].invoke_id
        self.do(self.store.invocations.mark_stop(invoke_id, now_ms=self.later()))

    @rule(number=numbers, some=st.sets(st.sampled_from(INSTANCES), min_size=1))
    def stop(self, number: int, some: set[InstanceId]) -> None:
        invoke_id, now_ms = self.keys_of(number)[0].invoke_id, self.later()
        stopped = self.do(
            self.store.invocations.stop_runs(
                invoke_id, sorted(some), round=0, now_ms=now_ms, deadline_ms=now_ms + 9
            )
        )
        self.closed(invoke_id, stopped.closed)

    @rule(number=numbers, some=st.sets(st.sampled_from(INSTANCES), min_size=1))
    def abort(self, number: int, some: set[InstanceId]) -> None:
        invoke_id = self.keys_of(number)[0].invoke_id
        outcome = Outcome(status=RunStatus.ABORTED, error_code=ErrorCode.DELIVERY_TIMEOUT)
        closed = self.do(
            self.store.invocations.abort_unclaimed(
                invoke_id, sorted(some), outcome=outcome, now_ms=self.later()
            )
        )
        self.closed(invoke_id, closed)

    @rule(number=numbers)
    def reserve(self, number: int) -> None:
        invoke_id = self.keys_of(number)[0].invoke_id
        self.do(self.store.invocations.reserve(invoke_id, batch=2, window=WINDOW, low=2, now_ms=self.later()))

    @rule(number=numbers)
    def hurry(self, number: int) -> None:
        self.do(self.store.runs.hurry(self.keys_of(number), now_ms=self.later()))

    # -- workers

    @rule(number=numbers, worker=st.sampled_from(WORKERS), force=st.integers(0, 9).map(lambda n: n == 0))
    def claim(self, number: int, worker: WorkerId, force: bool) -> None:
        key = self.run_of(number)
        invocation = self.do(self.store.invocations.get(key.invoke_id))
        before = self.do(self.store.runs.get(key))
        assert invocation
        assert before
        claim = self.do(
            self.store.runs.claim(
                key, worker=worker, now_ms=self.later(), at_once=AT_ONCE, may_wait=MAY_WAIT, force=force
            )
        )
        self.closed(key.invoke_id, claim.closed)
        if claim.held is not None:
            self.ever_held.append(claim.held)
            assert not invocation.halt_ms or before.phase == Phase.LAUNCHING, "begun after the halt"
        assert (claim.word == ClaimWord.FINAL) == (key in self.ended)

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers)
    def commit(self, number: int) -> None:
        now_ms = self.later()
        self.do(
            self.store.runs.commit_launching(
                self.held_of(number), boot_id="b", deadline_ms=now_ms + 60_000, now_ms=now_ms
            )
        )

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers)
    def start(self, number: int) -> None:
        now_ms = self.later()
        self.do(self.store.runs.started(self.held_of(number), start_ms=now_ms, now_ms=now_ms))

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers)
    def write(self, number: int) -> None:
        output = BoundedOutput(head=b"half", total=4)
        self.do(self.store.runs.record_output(self.held_of(number), output, now_ms=self.later()))

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers, status=st.sampled_from(sorted(FINAL)))
    def finish(self, number: int, status: RunStatus) -> None:
        held = self.held_of(number)
        finished = self.do(make.finish(self.store, held, Outcome(status=status), now_ms=self.later()))
        self.closed(held.key.invoke_id, finished.closed)
        assert not (finished.moved.done and held.key in self.ended)

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers, adrift=st.booleans())
    def give_back(self, number: int, adrift: bool) -> None:
        now_ms = self.later()
        self.do(
            self.store.runs.give_back(
                self.held_of(number), look_at_ms=now_ms + 5_000, adrift=adrift, now_ms=now_ms
            )
        )

    @rule(worker=st.sampled_from(WORKERS))
    def register_or_beat(self, worker: WorkerId) -> None:
        if self.do(self.store.workers.beat(worker, now_ms=self.later())) is None:
            self.do(self.store.workers.register(make.worker(worker), now_ms=self.now_ms))

    @rule(worker=st.sampled_from(WORKERS), limit=st.integers(1, 3))
    def bury(self, worker: WorkerId, limit: int) -> None:
        now_ms = self.later()
        self.do(self.store.workers.bury(worker, before_ms=now_ms, now_ms=now_ms, limit=limit))

    @rule(worker=st.sampled_from(WORKERS))
    def leave(self, worker: WorkerId) -> None:
        self.do(self.store.workers.leave(worker))

    @rule()
    def take_due(self) -> None:
        self.do(self.store.runs.take_due(now_ms=self.later(), lease_ms=10_000, limit=2))

    # -- what holds

    @invariant()
    def promises_hold(self) -> None:
        self.do(self._check())

    async def _check(self) -> None:
        every, self.names = await self._runs(), await self._read_sets()
        self.alive = {info.id for info in await self.store.workers.all()}
        for key, run in self.ended.items():
            assert every[key] == run, "a final run has moved"
        self.ended = {key: run for key, run in every.items() if run.status in FINAL}
        for keys_ in self.invocations:
            await self._check_invocation(keys_[0].invoke_id, [every[key] for key in keys_])
        for instance_id in INSTANCES:
            self._check_instance(instance_id, every)
        self._check_that_nothing_is_lost(every)
        await self._check_listing(every)
        await self._check_events(every)

    async def _runs(self) -> dict[RunKey, Run]:
        wanted = [key for keys_ in self.invocations for key in keys_]
        replies = await self.store.link.batch([("HGETALL", keys.run(key)) for key in wanted])
        return {key: run_from(key, hash_of(reply)) for key, reply in zip(wanted, replies, strict=True)}

    async def _read_sets(self) -> dict[str, set[str]]:
        """All sets and sorted sets that runs can stand in, in one round trip."""
        sets = [keys.claims(worker) for worker in WORKERS]
        scored = [keys.DUE, keys.DUE_INSTANCES, keys.OPEN, keys.OUTBOX]
        for instance_id in INSTANCES:
            sets += [keys.slots(instance_id), keys.adrift(instance_id)]
            scored.append(keys.waiting(instance_id))
        for keys_ in self.invocations:
            invoke_id = keys_[0].invoke_id
            scored += [keys.unpublished(invoke_id), keys.unclaimed(invoke_id)]
        replies = await self.store.link.batch(
            [("SMEMBERS", name) for name in sets] + [("ZRANGE", name, 0, -1) for name in scored]
        )
        return {
            name: {member.decode() for member in reply}
            for name, reply in zip(sets + scored, replies, strict=True)
        }

    async def _check_invocation(self, invoke_id: InvokeId, runs: list[Run]) -> None:
        invocation = await self.store.invocations.get(invoke_id)
        assert invocation is not None
        open_runs = sum(run.status in OPEN for run in runs)
        assert invocation.tally == Counter(run.status for run in runs)
        assert int(await self.store.link.call("HGET", keys.tally(invoke_id), "open")) == open_runs
        assert (invocation.finish_ms > 0) == (open_runs == 0)
        assert self.closes[invoke_id] == (open_runs == 0)
        assert (keys.entry(1_000, invoke_id) in self.names[keys.OPEN]) == (open_runs > 0)
        assert len(self.names[keys.unclaimed(invoke_id)]) <= WINDOW
        at_once, errors = (
            cap(len(runs)) for cap in (invocation.spec.caps.at_once, invocation.spec.caps.errors)
        )
        if at_once is not None:
            assert open_runs - len(self.names[keys.unpublished(invoke_id)]) <= at_once
        failed = sum(run.status in UNSUCCESSFUL for run in runs)
        assert bool(invocation.halt_ms) == (errors is not None and failed > errors)

    async def _check_events(self, every: dict[RunKey, Run]) -> None:
        """Whoever follows the events knows what the store knows; what has closed is to be told, once."""
        told: dict[RunKey, RunStatus] = {}
        closed: list[InvokeId] = []
        for event in (await self.store.events.after(OLDEST, limit=10_000)).events:
            assert event.invoke_id not in closed, "something is told after the close"
            if event.kind is EventKind.CLOSED:
                closed.append(event.invoke_id)
            elif event.instance_id is not None and event.status is not None:
                told[RunKey(event.invoke_id, event.instance_id, event.round)] = event.status
        assert told == {key: run.status for key, run in every.items() if run.status != RunStatus.PENDING}
        assert set(closed) == {invoke_id for invoke_id, times in self.closes.items() if times}
        assert self.names[keys.OUTBOX] == {f"webhook.{invoke_id}" for invoke_id in closed}

    def _check_instance(self, instance_id: InstanceId, every: dict[RunKey, Run]) -> None:
        slots, waiting = self.names[keys.slots(instance_id)], self.names[keys.waiting(instance_id)]
        assert len(slots) <= AT_ONCE
        assert len(waiting) <= MAY_WAIT
        assert not waiting or slots, "runs wait for a slot that nobody will free"
        for run_id in slots | waiting:
            assert every[RunKey.parse(run_id)].status in OPEN
        for run_id in self.names[keys.adrift(instance_id)]:
            run = every[RunKey.parse(run_id)]
            assert (run.worker, run.phase) == (None, Phase.LAUNCHING)
            assert run.status in OPEN
            assert run_id in slots
            assert instance_id in self.names[keys.DUE_INSTANCES]

    def _check_that_nothing_is_lost(self, every: dict[RunKey, Run]) -> None:
        """Every open run stands where somebody will find it: nothing waits for a message alone."""
        for key, run in every.items():
            run_id, invoke_id, instance_id = key.run_id, key.invoke_id, key.instance_id
            if run.status not in OPEN:
                assert run_id not in self.names[keys.DUE]
            elif run.worker is not None:
                assert run.worker in self.alive, "held by a worker that nobody will bury"
                assert run_id in self.names[keys.claims(run.worker)]
                assert run_id in self.names[keys.slots(instance_id)]
            else:
                assert (
                    run_id in self.names[keys.DUE]
                    or instance_id in self.names[keys.unpublished(invoke_id)]
                    or run_id in self.names[keys.unclaimed(invoke_id)]
                    or run_id in self.names[keys.waiting(instance_id)]
                    or run_id in self.names[keys.adrift(instance_id)]
                ), f"{run} is lost"

    async def _check_listing(self, every: dict[RunKey, Run]) -> None:
        """The indexes say what the runs say: one state, and one instance, per look."""
        self.looks += 1
        status = list(RunStatus)[self.looks % len(RunStatus)]
        instance_id = INSTANCES[self.looks % len(INSTANCES)]
        runs = [run for run in every.values() if run.status == status]
        there = InvocationFilter(run_statuses=frozenset({status}))
        of_instance = replace(there, instance_id=instance_id)

        place = await self.store.invocations.run_place(there, skip=0)
        page = await self.store.invocations.page(of_instance, limit=50, count=True)

        assert place.total == len(runs)
        assert page.total == len([run for run in runs if run.key.instance_id == instance_id])


@pytest.fixture(autouse=True)
def _one_server(store_server: ValkeyServer) -> None:
    AnyOrder.server = store_server


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=50,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
