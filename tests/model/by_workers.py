"""What workers do, in any order. They keep every claim they ever had, so most of their moves are stale."""

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import RunKey, WorkerId
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import FINAL, Phase, RunStatus
from cloudassist_tasks.ports.runs import Claim, Finished, Held
from tests.model import moves
from tests.model import workers as processes
from tests.model.stage import REGISTERED, Stage, numbers, workers
from tests.support.store import make

MAY_WAIT = 1
"""For one instance, and `at_once` one or two: so few that runs wait, are promised slots, are refused."""

limits = st.sampled_from([1, 2])

outcomes = st.sampled_from([RunStatus.SUCCESS, RunStatus.FAILED, *sorted(FINAL)])


class Workers(Stage):
    def __init__(self) -> None:
        super().__init__()
        self.ever_held: list[Held] = []
        self.launched: set[Held] = set()
        """Whose holders have seen the run launched."""
        self.finishes: list[tuple[Held, RunStatus, int]] = []

    def held_of(self, number: int) -> Held:
        """Mostly one that is not over."""
        valid = [held for held in self.ever_held if self.is_valid(held)]
        some = valid if valid and number % 4 else self.ever_held
        return some[-1 - number // 4 % len(some)]

    def is_valid(self, held: Held) -> bool:
        run = self.world.runs.get(held.key)
        is_holder = run is not None and (run.worker, run.epoch) == (held.worker, held.epoch)
        return is_holder and self.is_open(held.key)

    # -- claims

    @rule(number=numbers, worker=workers, at_once=limits, force=st.integers(0, 9).map(lambda n: n == 9))
    def claim_any(self, number: int, worker: WorkerId, at_once: int, force: bool) -> None:
        """Also what was not published, as after a store that forgot, or what has ended long ago."""
        self.claim(self.run_of(number), worker, at_once=at_once, force=force)

    @precondition(lambda self: self.messages())
    @rule(number=numbers, worker=workers, at_once=limits)
    def claim_published(self, number: int, worker: WorkerId, at_once: int) -> None:
        messages = self.messages()
        self.claim(messages[number % len(messages)], worker, at_once=at_once)

    def messages(self) -> list[RunKey]:
        """What may come out of the queue: at once, or after reconcile has looked."""
        published = [key for one in self.world.fanouts.values() for key in one.unclaimed]
        adrift = [key for keys in self.world.adrift.values() for key in sorted(keys)]
        return [*sorted(self.world.due), *published, *adrift]

    def claim(self, key: RunKey, worker: WorkerId, *, at_once: int = 2, force: bool = False) -> Claim:
        found = self.do(
            self.processes[worker].runs.claim(
                key, worker=worker, now_ms=self.now_ms, at_once=at_once, may_wait=MAY_WAIT, force=force
            )
        )
        expected = self._claimed(key, worker, at_once, force=force)
        registered = key.instance_id in REGISTERED
        assert (found.instance is not None) == (registered and found.held is not None)
        self.same(replace(found, instance=None, contact=None), expected)
        if found.held is not None:
            self.ever_held.append(found.held)
            if expected.run and expected.run.phase is Phase.LAUNCHING:
                self.launched.add(found.held)
        return found

    def _claimed(self, key: RunKey, worker: WorkerId, at_once: int, *, force: bool) -> Claim:
        return moves.claim(
            self.world,
            key,
            worker=worker,
            now_ms=self.now_ms,
            at_once=at_once,
            may_wait=MAY_WAIT,
            force=force,
        )

    @rule(number=numbers, worker=workers, at_once=limits)
    def claim_without_an_answer(self, number: int, worker: WorkerId, at_once: int) -> None:
        """The worker does not know that it holds the run; it gives it back with its next beat."""
        key = self.run_of(number)
        self.link.loses = True
        with pytest.raises(Broken):
            self.do(
                self.processes[worker].runs.claim(
                    key, worker=worker, now_ms=self.now_ms, at_once=at_once, may_wait=MAY_WAIT
                )
            )
        self.link.loses = False
        claim = self._claimed(key, worker, at_once, force=False)
        if claim.held is not None:
            self.world.doubts.append((key, worker, claim.held.epoch, self.now_ms))

    # -- moves

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers)
    def commit_some(self, number: int) -> None:
        self.commit(self.held_of(number))

    def commit(self, held: Held) -> bool:
        deadline_ms = self.now_ms + 60_000
        found = self.do(
            self.store.runs.commit_launching(held, boot_id="b", deadline_ms=deadline_ms, now_ms=self.now_ms)
        )
        expected = moves.commit_launching(
            self.world, held, boot_id="b", deadline_ms=deadline_ms, now_ms=self.now_ms
        )
        if found.done:
            self.launched.add(held)
        return self.same(found, expected).done

    @precondition(lambda self: self.launched)
    @rule(number=numbers)
    def start_some(self, number: int) -> None:
        launched = [held for held in self.ever_held if held in self.launched]
        self.start(launched[-1 - number % len(launched)])

    def start(self, held: Held) -> None:
        found = self.do(self.store.runs.started(held, start_ms=self.now_ms, now_ms=self.now_ms))
        self.same(found, moves.started(self.world, held, start_ms=self.now_ms, now_ms=self.now_ms))

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers, output=st.sampled_from([b"h", b"half"]))
    def record_output(self, number: int, output: bytes) -> None:
        held, kept = self.held_of(number), BoundedOutput(head=output, total=len(output))
        found = self.do(self.store.runs.record_output(held, kept, now_ms=self.now_ms))
        self.same(found, moves.record_output(self.world, held, output, now_ms=self.now_ms))

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers, status=outcomes, output=st.sampled_from([b"", b"whole"]))
    def finish_some(self, number: int, status: RunStatus, output: bytes) -> None:
        self.finish(self.held_of(number), status, output)

    def finish(self, held: Held, status: RunStatus, output: bytes = b"") -> Finished:
        self.finishes.append((held, status, self.now_ms))
        return self._finish(held, status, output, self.now_ms)

    def _finish(self, held: Held, status: RunStatus, output: bytes, now_ms: int) -> Finished:
        outcome = Outcome(status=status, exit_code=7 if status is RunStatus.FAILED else None)
        found = self.do(make.finish(self.store, held, outcome, output=output, now_ms=now_ms))
        return self.same(found, moves.finish(self.world, held, outcome, output=output, now_ms=now_ms))

    @precondition(lambda self: self.finishes)
    @rule(number=numbers)
    def finish_again(self, number: int) -> None:
        """The answer was lost: the same call is made again."""
        held, status, then_ms = self.finishes[-1 - number % len(self.finishes)]
        self._finish(held, status, b"", then_ms)

    @precondition(lambda self: self.ever_held)
    @rule(number=numbers, adrift=st.booleans())
    def give_back(self, number: int, adrift: bool) -> None:
        held, look_at_ms = self.held_of(number), self.now_ms + 5_000
        found = self.do(
            self.store.runs.give_back(held, look_at_ms=look_at_ms, adrift=adrift, now_ms=self.now_ms)
        )
        expected = moves.give_back(self.world, held, look_at_ms=look_at_ms, adrift=adrift, now_ms=self.now_ms)
        self.same(found, expected)

    # -- the processes

    @rule(worker=workers)
    def register_or_beat(self, worker: WorkerId) -> None:
        if not self.beat(worker):
            self.register(worker)

    def beat(self, worker: WorkerId) -> bool:
        found = self.do(self.processes[worker].workers.beat(worker, now_ms=self.now_ms))
        expected = processes.beat(self.world, worker, now_ms=self.now_ms)
        self.same(None if found is None else set(found), expected)
        return found is not None

    def register(self, worker: WorkerId) -> None:
        self.do(self.store.workers.register(make.worker(worker), now_ms=self.now_ms))
        processes.register(self.world, worker, now_ms=self.now_ms)

    @precondition(lambda self: self.world.workers)
    @rule(worker=workers)
    def leave(self, worker: WorkerId) -> None:
        self.do(self.store.workers.leave(worker))
        processes.leave(self.world, worker)
