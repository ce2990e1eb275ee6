"""What tests of schedules do to one, and ask of it."""

from typing import Any

from cloudassist_tasks.domain.firing import Plan
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Invocation, RepeatMode, Why
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.schedules import Due, OpenedRound, Overlooked, Planned
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make


async def scheduled(store: RedisStore, *members: str, due_ms: int = 10_000, **fields: Any) -> InvokeId:
    spec = make.spec(
        **{"repeat_mode": RepeatMode.PERIOD, "frequency": "rate(10s)", "created_ms": 0, **fields}
    )
    period = spec.repeat_mode is RepeatMode.PERIOD
    opening = make.opening(
        *members, spec=spec, due_ms=due_ms if period else None, tick_ms=due_ms if period else 0
    )
    return (await store.invocations.open(opening, now_ms=1_000)).invoke_id


async def fired(
    store: RedisStore, now_ms: int, *, next_ms: int | None = None, last: bool = False, **plan: Any
) -> list[OpenedRound | None]:
    """Whatever is due then: one round each."""
    next_ms = None if last else next_ms or now_ms + 10_000
    why, more = plan.get("why", Why.TICK), plan.get("more", {})
    found = await store.schedules.due(now_ms=now_ms, limit=10)
    planned = [
        Planned(
            due=due,
            plan=Plan(why=why, at_ms=due.due_ms, next_tick_ms=next_ms, settled_ms=due.due_ms, **more),
            next_due_ms=next_ms,
        )
        for due in found
    ]
    return list(await store.schedules.fire(planned, batch=50, now_ms=now_ms))


def standing(due_ms: int | None = 10_000, missed: int = 0) -> Overlooked:
    """Where a schedule is found, and how many of its times were missed until then."""
    return Overlooked(due_ms=due_ms, missed=missed, first_ms=due_ms or 0, last_ms=10_000 * missed)


def at_twenty(due: Due) -> Planned:
    """The round of 10,000 ms; the next is at 20,000."""
    plan = Plan(why=Why.TICK, at_ms=10_000, next_tick_ms=20_000, settled_ms=10_000)
    return Planned(due=due, plan=plan, next_due_ms=20_000)


async def whole(store: RedisStore, id_: InvokeId) -> Invocation:
    found = await store.invocations.get(id_)
    assert found is not None
    return found


async def states(store: RedisStore, id_: InvokeId) -> dict[str, str]:
    """By instance, in the whole; they agree with its tally."""
    invocation = await whole(store, id_)
    runs = await store.runs.of(invocation, await store.invocations.members(id_))
    counted: dict[RunStatus, int] = {}
    for run in runs:
        counted[run.status] = counted.get(run.status, 0) + 1
    assert invocation.tally == counted
    return {run.key.instance_id: run.status.value for run in runs}


async def run_to(store: RedisStore, key: RunKey, status: RunStatus, now_ms: int = 20_000) -> None:
    held = await make.running(store, key, now_ms=now_ms)
    finished = await make.finish(store, held, Outcome(status=status), now_ms=now_ms + 1)
    assert finished.moved.done


def key(id_: InvokeId, member: str, round_: int) -> RunKey:
    return RunKey(id_, InstanceId(member), round_)
