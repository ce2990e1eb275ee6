"""The real store and the model, side by side on one clock: each step is taken by both, and all is compared.

The clock is ours: it stands still until a rule moves it, and it may go back. A step that both refuse alike,
or do nothing in alike, is as good as any other.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.status import OPEN
from cloudassist_tasks.ports.events import OLDEST
from cloudassist_tasks.ports.runs import Runs
from cloudassist_tasks.ports.workers import Workers
from cloudassist_tasks.store.link import Link, Word
from cloudassist_tasks.store.redis_store import RedisStore
from cloudassist_tasks.store.runs import RedisRuns
from cloudassist_tasks.store.workers import RedisWorkers
from tests.model.agreement import compare, compare_listings
from tests.model.world import World
from tests.support.store import make
from tests.support.valkey import ValkeyServer

T = TypeVar("T")

INSTANCES = [InstanceId(f"i-{n}") for n in range(3)]
REGISTERED = INSTANCES[:2]
WORKERS = [WorkerId(f"w-{n}") for n in range(3)]
FIRST_MS = 100_000_000
HOUR_MS = 3_600_000

numbers = st.integers(0, 999)
"""Which of several: the newest first."""
workers = st.sampled_from(WORKERS)
some_instances = st.lists(st.sampled_from(INSTANCES), min_size=1, unique=True)


class LosingLink(Link):
    """The server takes the step, but its answer does not arrive."""

    loses = False

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Word]) -> Any:
        reply = await super().script(name, keys, args)
        if self.loses:
            raise Broken("the answer was lost on its way")
        return reply


class Process:
    """What one worker process has of the store: it remembers which of its claims had no answer."""

    def __init__(self, link: LosingLink) -> None:
        self.link = link
        runs = RedisRuns(link)
        self.runs: Runs = runs
        self.workers: Workers = RedisWorkers(link, runs)


class Stage(RuleBasedStateMachine):
    """What all rules share."""

    server: ValkeyServer

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.do(RedisStore.open(self.server.url()))
        self.do(self.store.link.call("FLUSHDB"))
        self.link = LosingLink(self.server.url())
        self.processes = {worker: Process(self.link) for worker in WORKERS}
        self.do(self.store.instances.add([make.instance(id_) for id_ in REGISTERED]))
        self.world = World(registered=set(REGISTERED))
        self.now_ms = self.latest_ms = FIRST_MS
        self.every: list[RunKey] = []
        """All runs that there ever were."""
        self.heard = 0
        self.cursor = OLDEST
        self.looks = self.ids = 0
        self.agrees = True

    def do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(step)

    def new_id(self) -> InvokeId:
        """Counted in each example alone: order and jitter go by ids, and an example must be repeatable."""
        self.ids += 1
        return InvokeId(f"t-{self.ids:03d}")

    def same(self, found: T, expected: T) -> T:
        """What the store has answered is what the model answers."""
        assert found == expected, f"the store: {found}\nthe model: {expected}"
        return found

    def note_new_runs(self) -> None:
        """So that rules find them."""
        known = set(self.every)
        fanouts = self.world.fanouts.values()
        self.every += [key for fanout in fanouts for key in fanout.keys if key not in known]

    def run_of(self, number: int) -> RunKey:
        """Mostly an open one; else any that ever was, perhaps forgotten."""
        open_ = [key for key in self.every if key in self.world.runs and self.is_open(key)]
        some = open_ if open_ and number % 8 else self.every
        return some[-1 - number // 8 % len(some)]

    def is_open(self, key: RunKey) -> bool:
        return self.world.runs[key].status in OPEN

    def round_of(self, number: int) -> RoundKey:
        """That of such a run."""
        return self.run_of(number).of

    # -- time

    @rule(ms=st.sampled_from([1, 500, 3_000, 10_000, 16_000, 70_000, 26 * HOUR_MS]))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms
        self.latest_ms = max(self.latest_ms, self.now_ms)

    @rule(ms=st.sampled_from([1, 700, 12_000, 90_000]))
    def the_clock_steps_back(self, ms: int) -> None:
        self.now_ms = max(FIRST_MS, self.now_ms - ms)

    # -- what holds after each step

    @invariant()
    def they_agree(self) -> None:
        self.agrees = False
        self.do(compare(self.store, self.world))
        self.do(self._compare_events())
        self.looks += 1
        self.do(compare_listings(self.store, self.world, self.looks))
        self.agrees = True

    async def _compare_events(self) -> None:
        """What is told in a step is what the model tells, in that order."""
        happened = await self.store.events.after(self.cursor, limit=10_000)
        told = [
            (
                event.kind,
                str(RoundKey(event.invoke_id, event.round))
                if event.instance_id is None
                else RunKey(event.invoke_id, event.instance_id, event.round).run_id,
                event.status,
            )
            for event in happened.events
        ]
        assert told == self.world.told[self.heard :], "events"
        self.heard, self.cursor = len(self.world.told), happened.cursor

    def teardown(self) -> None:
        try:
            if self.agrees:
                self.calm_down()
        finally:
            self.do(self.link.close())
            self.do(self.store.close())
            self.runner.close()

    def calm_down(self) -> None:
        """Nothing fails any more: see `mending.py`."""
        raise NotImplementedError
