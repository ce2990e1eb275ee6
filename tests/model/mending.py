"""What reconcile asks of the store, in any order; and that from wherever they stand all runs end by it.

Nothing is known here of hosts: a run that is carried ends, one whose host is silent is given up and fenced.
"""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cloudassist_tasks.domain.caps import outcome_of_halt
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.invocations import run_keys
from tests.model import calls
from tests.model import workers as processes
from tests.model.by_beats import Beats
from tests.model.carrying import Carrying
from tests.model.stage import HOUR_MS, WORKERS, numbers, workers

LEASE_MS = 15_000
LATER_MS = 45_000
MOST_PASSES = 40

limits = st.integers(1, 4)


class Mending(Beats, Carrying):
    # -- dead workers

    @precondition(lambda self: self.world.workers)
    @rule(worker=workers, limit=limits)
    def bury_some(self, worker: WorkerId, limit: int) -> None:
        """The dead one may only have been slow: its claims are over all the same. So many go in one step; the
        store chooses which, and all go in the end: an example must be repeatable."""
        while self.bury(worker, before_ms=self.now_ms, limit=limit):
            pass

    def bury(self, worker: WorkerId, *, before_ms: int, limit: int = 1_000) -> int:
        before = self.do(self.store.link.call("SMEMBERS", keys.claims(worker)))
        found = self.do(self.store.workers.bury(worker, before_ms=before_ms, now_ms=self.now_ms, limit=limit))
        after = self.do(self.store.link.call("SMEMBERS", keys.claims(worker)))
        taken = set(run_keys([run_id for run_id in before if run_id not in after]))
        expected = processes.bury(
            self.world, worker, before_ms=before_ms, now_ms=self.now_ms, limit=limit, looked_at=taken
        )
        return self.same(found, expected)

    # -- what is handed out

    def due(self, limit: int = 500) -> list[RunKey]:
        """What is to be carried: runs, and those that are adrift on an instance."""
        found = self.do(self.store.runs.take_due(now_ms=self.now_ms, lease_ms=LATER_MS, limit=limit))
        expected = processes.take_due(self.world, now_ms=self.now_ms, lease_ms=LATER_MS, limit=limit)
        runs, instances = self.same(found, expected)
        adrift = [key for id_ in instances for key in self.adrift(id_)]
        return [*runs, *adrift]

    def adrift(self, id_: InstanceId) -> list[RunKey]:
        found = self.do(self.store.runs.adrift(id_))
        return list(self.same(list(found), sorted(self.world.adrift[id_])))

    @rule(number=numbers, limit=limits, what=st.sampled_from(["due", "lost", "watched"]))
    def hand_out(self, number: int, limit: int, what: str) -> None:
        of = self.round_of(number)
        match what:
            case "due":
                self.due(limit)
            case "lost":
                self.lost(of, number % 2 * LEASE_MS, limit)
            case _:
                self._hurry([key for key in self.every if key.of == of])

    def _hurry(self, some: list[RunKey]) -> None:
        found = self.do(self.store.runs.hurry(some, now_ms=self.now_ms))
        self.same(list(found), list(processes.hurry(self.world, some, now_ms=self.now_ms)))

    @precondition(lambda self: self.world.deadlines)
    @rule(worker=workers, limit=limits)
    def give_up_overdue(self, worker: WorkerId, limit: int) -> None:
        self.overdue(worker, limit)

    def overdue(self, worker: WorkerId, limit: int = 500) -> None:
        """Their hosts are silent: the runs end, and are to be fenced."""
        found = self.do(self.store.runs.take_overdue(now_ms=self.now_ms, lease_ms=LATER_MS, limit=limit))
        scored = self.world.deadlines
        expected = processes.take_runs(scored, now_ms=self.now_ms, lease_ms=LATER_MS, limit=limit)
        for key in self.same(list(found), list(expected)):
            held = self.claim(key, worker, force=True).held
            if held is not None:
                at_ms = self.now_ms + LATER_MS
                self.do(self.store.runs.fence_later(key, at_ms=at_ms))
                self.world.fences[key] = at_ms
                self.finish(held, RunStatus.ERROR)

    @precondition(lambda self: self.world.fences)
    @rule(limit=limits, answers=st.booleans())
    def fence(self, limit: int, answers: bool) -> None:
        found = self.do(self.store.runs.take_fences(now_ms=self.now_ms, lease_ms=LATER_MS, limit=limit))
        scored = self.world.fences
        expected = processes.take_runs(scored, now_ms=self.now_ms, lease_ms=LATER_MS, limit=limit)
        for key in self.same(list(found), list(expected)):
            if answers:
                self.do(self.store.runs.fenced(key, late_result="exited 0"))
                processes.fenced(self.world, key, "exited 0")

    # -- open invocations

    def lost(self, of: RoundKey, age_ms: int, limit: int = 500) -> list[RunKey]:
        older_than_ms = self.now_ms - age_ms
        found = self.do(
            self.store.invocations.unclaimed(
                of.invoke_id, round=of.round, older_than_ms=older_than_ms, limit=limit, now_ms=self.now_ms
            )
        )
        expected = calls.lost(self.world, of, older_than_ms=older_than_ms, limit=limit, now_ms=self.now_ms)
        return self.same(list(found), list(expected))

    @rule()
    def look_at_open_ones(self) -> None:
        self.mend()

    def mend(self) -> list[RunKey]:
        """What one pass does for all that is open; the runs that it publishes again."""
        self.looks += 1
        turns = [self.do(self.store.turn(f"pass {self.looks}", for_ms=HOUR_MS)) for _ in WORKERS]
        self.same(turns, [True, False, False])
        found = self.do(self.store.invocations.open_rounds(limit=1_000))
        return [key for of in self.same(list(found), self.world.open_rounds()) for key in self._mend(of)]

    def _mend(self, of: RoundKey) -> list[RunKey]:
        if of.invoke_id in self.world.wholes and not of.round:
            self.end_and_stop(of.invoke_id)
            return []
        fanout = self.world.fanouts[of]
        if fanout.stop_ms:
            self.stop(of, list(fanout.members))
            return []
        if fanout.halt_ms:
            self.abort(of, list(fanout.members), outcome_of_halt(fanout.errors or 0))
            return []
        again = self.lost(of, LEASE_MS)
        self.reserve(of)
        return again

    # -- all ends

    def calm_down(self) -> None:
        """Every message is lost and every worker is gone, but from now on nothing fails: what is open ends.
        Nothing is carried but what a pass hands out, or what is promised the slot of a run that ends."""
        self.now_ms = self.latest_ms + HOUR_MS
        for id_ in [id_ for id_, whole in self.world.wholes.items() if not whole.ended]:
            self.end(id_)
        worker = WORKERS[0]
        self._bury_the_dead()
        self.register(worker)
        for _ in range(MOST_PASSES):
            if not self._open():
                break
            self.now_ms += HOUR_MS
            self.register_or_beat(worker)
            self._bury_the_dead()
            for key in [*self.due(), *self.mend()]:
                self._carry_to_the_end(key, worker)
        assert not self._open(), "still open"
        self.they_agree()

    def _open(self) -> list[RoundKey]:
        closed: set[InvokeId] = {id_ for id_, whole in self.world.wholes.items() if whole.finish_ms}
        wholes = [RoundKey(id_) for id_ in self.world.wholes if id_ not in closed]
        return [*self.world.open_rounds(), *wholes]

    def _bury_the_dead(self) -> None:
        before_ms = self.now_ms - LEASE_MS
        found = self.do(self.store.workers.dead(before_ms=before_ms))
        for worker in sorted(self.same(set(found), processes.dead(self.world, before_ms=before_ms))):
            while self.bury(worker, before_ms=before_ms):
                pass

    def _carry_to_the_end(self, key: RunKey | None, worker: WorkerId) -> None:
        while key is not None:
            held = self.claim(key, worker).held
            if held is None:
                return
            is_stopping = self.world.runs[key].status is RunStatus.STOPPING
            key = self.finish(held, RunStatus.TERMINATED if is_stopping else RunStatus.SUCCESS).next
