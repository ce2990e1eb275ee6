"""A run that is carried from its message on, as workers do when nothing, or just one thing, comes between."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cloudassist_tasks.domain.ids import RunKey, WorkerId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.runs import Held
from tests.model.by_callers import Callers
from tests.model.by_workers import Workers, limits, outcomes
from tests.model.stage import WORKERS, numbers, workers

meanwhile = st.sampled_from(["nothing", "nothing", "a stop is marked", "it is stopped", "another takes it"])


class Carrying(Callers, Workers):
    @precondition(lambda self: self.messages())
    @rule(number=numbers, worker=workers, at_once=limits, claimed=meanwhile, launched=meanwhile)
    def carry(self, number: int, worker: WorkerId, at_once: int, claimed: str, launched: str) -> None:
        """Until it runs; with what happens once it is claimed, and once it is launched."""
        self._carry(number, worker, at_once, claimed, launched)

    @precondition(lambda self: self.messages())
    @rule(number=numbers, worker=workers, at_once=limits, status=outcomes)
    def carry_to_its_end(self, number: int, worker: WorkerId, at_once: int, status: RunStatus) -> None:
        if held := self._carry(number, worker, at_once):
            self.finish(held, status, b"done")

    def _carry(
        self,
        number: int,
        worker: WorkerId,
        at_once: int,
        claimed: str = "nothing",
        launched: str = "nothing",
    ) -> Held | None:
        messages = self.messages()
        held = self.claim(messages[number % len(messages)], worker, at_once=at_once).held
        if held is None:
            return None
        self._comes_between(claimed, held)
        if not self.commit(held):
            return None
        self._comes_between(launched, held)
        self.start(held)
        return held

    def _comes_between(self, what: str, held: Held) -> None:
        key: RunKey = held.key
        match what:
            case "a stop is marked":
                self.stop_marked(key.invoke_id)
            case "it is stopped":
                self.stop(key.of, [key.instance_id])
            case "another takes it":
                other = WORKERS[WORKERS.index(held.worker) - 1]
                self.claim(key, other, force=True)
