"""The sender's side of the pool's tests: send tasks, open gates, read what became of them."""

import uuid
from typing import Any

import redis
from celery import Celery

from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually
from tests.support.valkey import ValkeyServer

__all__ = ["Line"]

ANSWER_WITHIN_S = 60


class Line:
    """A broker database and a state database of one worker."""

    def __init__(self, broker: ValkeyServer, state: ValkeyServer, db: int) -> None:
        self.environment = {
            "POOL_BROKER_URL": broker.broker_url(db),
            "POOL_STATE_URL": state.url(db),
            "POOL_RESULTS_URL": state.broker_url(db),
        }
        self.broker = broker.client(db)
        self.redis: redis.Redis = state.client(db)
        self.app = Celery(
            broker=self.environment["POOL_BROKER_URL"], backend=self.environment["POOL_RESULTS_URL"]
        )

    def send(self, task: str, *args: object, **options: Any) -> str:
        """Publish; give the task id."""
        return str(self.app.send_task(task, args, **options).id)

    def outcome(self, task_id: str, within: float = 20) -> tuple[str, Any]:
        """Await the end; give Celery's state and the result or error."""
        result = self.app.AsyncResult(task_id)
        eventually(result.ready, within=within)
        return result.state, result.result

    def state(self, task_id: str) -> str:
        return str(self.app.AsyncResult(task_id).state)

    def gate(self) -> str:
        """A closed gate."""
        return f"gate-{uuid.uuid4().hex[:6]}"

    def open(self, gate: str) -> None:
        self.redis.xadd(gate, {"open": "1"})

    def hold(self, count: int, gate: str, task: str = "hold", **options: Any) -> list[str]:
        """Send tasks that wait at the gate and await that all are there."""
        already = self.held(gate)
        sent = [self.send(task, gate, **options) for _ in range(count)]
        eventually(lambda: self.held(gate) == already + count, within=20)
        return sent

    def held(self, gate: str) -> int:
        """How many stand at the gate."""
        return int(self.redis.scard(f"held:{gate}"))

    def journal(self, task_id: str) -> list[str]:
        return self._list(f"journal:{task_id}")

    def signals(self, task_id: str) -> list[str]:
        return self._list(f"signals:{task_id}")

    def queued(self) -> int:
        """Messages in the queue, not delivered."""
        return int(self.broker.llen("celery"))

    def unacked(self) -> int:
        """Messages delivered and not acked."""
        return int(self.broker.hlen("unacked"))

    def inspect(self, worker: CeleryWorker, question: str) -> Any:
        """The worker's own answer to `celery inspect`."""
        answer = getattr(self.app.control.inspect([worker.name], timeout=ANSWER_WITHIN_S), question)()
        assert answer, f"{worker.name} did not answer {question}"
        return answer[worker.name]

    def control(self, worker: CeleryWorker, command: str, *arguments: object, **options: Any) -> None:
        """As `celery control`; the worker has done it when this returns."""
        options |= {"destination": [worker.name], "reply": True, "timeout": ANSWER_WITHIN_S}
        answer = getattr(self.app.control, command)(*arguments, **options)
        assert answer, f"{worker.name} did not answer {command}"

    def slots(self, worker: CeleryWorker) -> dict[str, Any]:
        """The pool's part of `inspect stats`."""
        return dict(self.inspect(worker, "stats")["pool"])

    def occupancy(self, worker: CeleryWorker) -> tuple[int, int, int]:
        """How many tasks hold a slot, how many wait for one, how many slots there are."""
        slots = self.slots(worker)
        return slots["running"], slots["waiting"], slots["max-concurrency"]

    def _list(self, key: str) -> list[str]:
        return [str(item) for item in self.redis.lrange(key, 0, -1)]
