"""The Celery app that the pool's tests run in worker processes: ordinary tasks that wait in coroutines.

Its state (gates, journals, results) may live in another server than its broker, for the broker is
restarted in a test. A gate is a stream: whoever reads it waits until something is in it.
"""

# mypy: disable-error-code="untyped-decorator"
# (celery ships no types)

import asyncio
import contextvars
import os
import random
import signal
import time
from typing import Any

import redis
import redis.asyncio
from celery import Celery, Task, signals
from celery._state import _task_stack, get_current_worker_task
from celery.exceptions import SoftTimeLimitExceeded

from cloudassist_tasks.runtime import at_close, await_, blocking
from workers.drain import Drain, drain_started
from workers.event_gathering import GatherEvents

STATE_URL = os.environ["POOL_STATE_URL"]

app = Celery("pool", broker=os.environ["POOL_BROKER_URL"], backend=os.environ["POOL_RESULTS_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("POOL_VISIBILITY_S", "600")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    task_track_started=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_disable_prefetch=os.environ.get("POOL_DISABLE_PREFETCH") == "1",
    worker_prefetch_multiplier=int(os.environ.get("POOL_MULTIPLIER", "4")),
    worker_soft_shutdown_timeout=float(os.environ.get("POOL_SOFT_SHUTDOWN_S", "0")),
)
app.steps["worker"].add(Drain)
app.steps["consumer"].add(GatherEvents)

state = redis.Redis.from_url(STATE_URL, decode_responses=True)
number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=-1)


async def pass_gate(gate: str) -> None:
    async with redis.asyncio.Redis.from_url(STATE_URL, socket_timeout=None) as client:
        await client.xread({gate: "0"}, block=0)


async def hold_and_tell(task_id: str, gate: str) -> str:
    state.sadd(f"held:{gate}", task_id)
    try:
        await pass_gate(gate)
    except asyncio.CancelledError:
        state.rpush(f"journal:{task_id}", "coroutine cancelled")
        raise
    finally:
        state.srem(f"held:{gate}", task_id)
    return "passed"


def held(task: Any, gate: str) -> str:
    state.rpush(f"journal:{task.request.id}", "started")
    try:
        return await_(hold_and_tell(task.request.id, gate))
    except SoftTimeLimitExceeded:
        state.rpush(f"journal:{task.request.id}", "soft limit")
        raise
    finally:
        state.rpush(f"journal:{task.request.id}", "unwound")


@app.task(name="hold", bind=True, acks_late=True)
def hold(self: Task, gate: str) -> str:
    return held(self, gate)


@app.task(name="hold_early", bind=True)
def hold_early(self: Task, gate: str) -> str:
    return held(self, gate)


@app.task(name="hold_blocking", bind=True)
def hold_blocking(self: Task, gate: str) -> str:
    """As `hold`, in a synchronous client."""
    state.sadd(f"held:{gate}", self.request.id)
    blocking(redis.Redis.from_url(STATE_URL, socket_timeout=None).xread, {gate: "0"}, block=0)
    return "passed"


@app.task(name="interleave", bind=True)
def interleave(self: Task, mine: int, rounds: int) -> list[str]:
    """Look after each of many interleaved waits whether all that is mine is still mine."""
    task_id, wrong = self.request.id, []
    number.set(mine)

    async def look_around() -> int:
        await asyncio.sleep(random.random() / 200)
        return number.get()

    for _ in range(rounds):
        facts = {
            "contextvar in the coroutine": await_(look_around()) == mine,
            "contextvar in the task": number.get() == mine,
            "request": self.request.id == task_id and self.request.args == [mine, rounds],
            "current task": app.current_task is self and app.current_task.request.id == task_id,
            "current worker task": get_current_worker_task() is self,
            "stack": len(_task_stack.stack) == 1,
        }
        wrong += [fact for fact, holds in facts.items() if not holds]
    return wrong


@app.task(name="fail_first", bind=True, max_retries=5)
def fail_first(self: Task, times: int) -> int:
    if self.request.retries < times:
        raise self.retry(countdown=0)
    return int(self.request.retries)


@app.task(name="raise_in_task")
def raise_in_task() -> None:
    raise ValueError("in the task")


@app.task(name="raise_in_coroutine")
def raise_in_coroutine() -> None:
    async def fail() -> None:
        raise LookupError("in the coroutine")

    await_(fail())


@app.task(name="exit")
def exit_() -> None:
    raise SystemExit(3)


@app.task(name="crash", acks_late=True)
def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="block_the_loop")
def block_the_loop(for_s: float) -> None:
    time.sleep(for_s)


@app.task(name="echo")
def echo(value: object) -> object:
    return value


def journal_signal(event: str) -> Any:
    def write(task_id: str | None = None, request: Any = None, sender: Any = None, **_: object) -> None:
        known = task_id or getattr(request, "id", None) or sender.request.id
        state.rpush(f"signals:{known}", event)

    return write


for event in ("prerun", "postrun", "success", "failure", "retry", "revoked"):
    getattr(signals, f"task_{event}").connect(journal_signal(event), weak=False)


@signals.worker_ready.connect(weak=False)
def register(**_: object) -> None:
    async def farewell() -> None:
        async with redis.asyncio.Redis.from_url(STATE_URL) as client:
            await client.rpush("farewells", str(os.getpid()))

    at_close(farewell)


@drain_started.connect(weak=False)
def let_go(**_: object) -> None:
    """Open the gate of those that let go at a drain."""
    state.rpush("drains", str(os.getpid()))
    state.xadd("let-go", {"by": "drain"})
