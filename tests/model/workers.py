"""Processes that hold runs: they beat, fall silent, are buried, leave; and what they left due is taken."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from cloudassist_tasks.domain.ids import InstanceId, RunKey, WorkerId
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.status import FINAL, Phase, RunStatus
from tests.model.moves import is_known, set_adrift
from tests.model.world import World, take

GRAVES_FOR_MS = 24 * 3_600 * 1_000
DOUBT_FOR_MS = 30_000


def register(world: World, worker: WorkerId, *, now_ms: int) -> None:
    world.workers[worker] = now_ms
    world.known_workers.add(worker)


def beat(world: World, worker: WorkerId, *, now_ms: int) -> set[RunKey] | None:
    """Runs that it is to stop; None: it was buried, or never known. Claims of the process whose answer was
    lost are given back first."""
    _disown(world, worker, now_ms)
    if not is_known(world, worker):
        return None
    world.workers[worker] = now_ms
    return {key for key in world.claims[worker] if _is_stopping(world, key)}


def _is_stopping(world: World, key: RunKey) -> bool:
    return key in world.runs and world.runs[key].status is RunStatus.STOPPING


def _disown(world: World, worker: WorkerId, now_ms: int) -> None:
    for doubt in [doubt for doubt in world.doubts if doubt[1] == worker]:
        key, _, epoch, asked_ms = doubt
        run = world.runs.get(key)
        if run and run.status not in FINAL and (run.worker, run.epoch) == (worker, epoch):
            phase = Phase.QUEUED if run.phase is Phase.CLAIMED else run.phase
            world.runs[key] = replace(run, worker=None, phase=phase)
            world.claims[worker].discard(key)
            world.due[key] = now_ms
        if now_ms - asked_ms > DOUBT_FOR_MS:
            world.doubts.remove(doubt)


def dead(world: World, *, before_ms: int) -> set[WorkerId]:
    return {worker for worker, seen_ms in world.workers.items() if 0 <= seen_ms < before_ms}


def bury(
    world: World, worker: WorkerId, *, before_ms: int, now_ms: int, limit: int, looked_at: Collection[RunKey]
) -> int:
    """`looked_at`: which of its claims were taken, where there are more than `limit`."""
    if not is_known(world, worker) or world.workers[worker] >= before_ms:
        return 0
    assert set(looked_at) <= world.claims[worker]
    taken = [key for key in looked_at if key in world.runs and world.runs[key].worker == worker]
    assert len(taken) <= limit
    for key in taken:
        _let_go_of_the_dead(world, key, now_ms)
    world.claims[worker] -= set(looked_at)
    if not world.claims[worker]:
        world.workers[worker] = -now_ms
        world.known_workers.discard(worker)
        oldest_ms = max(0, now_ms - GRAVES_FOR_MS)
        for grave in [one for one, seen_ms in world.workers.items() if -oldest_ms <= seen_ms < 0]:
            del world.workers[grave]
    return len(taken)


def _let_go_of_the_dead(world: World, key: RunKey, now_ms: int) -> None:
    run = world.runs[key]
    if run.phase is Phase.LAUNCHING:
        world.runs[key] = replace(run, worker=None, update_ms=now_ms)
        set_adrift(world, key, now_ms)
    else:
        world.runs[key] = replace(run, worker=None, phase=Phase.QUEUED, update_ms=now_ms)
        world.due[key] = now_ms


def leave(world: World, worker: WorkerId) -> None:
    """One that still holds runs counts as dead."""
    if world.claims[worker]:
        if worker in world.workers:
            world.workers[worker] = 0
    else:
        world.workers.pop(worker, None)
        world.known_workers.discard(worker)


# -- what is handed out


def take_due(
    world: World, *, now_ms: int, lease_ms: int, limit: int
) -> tuple[Sequence[RunKey], Sequence[InstanceId]]:
    again_ms = now_ms + lease_ms
    return (
        take_runs(world.due, now_ms=now_ms, lease_ms=lease_ms, limit=limit),
        take(world.due_instances, until_ms=now_ms, again_ms=again_ms, limit=limit),
    )


def take_runs(scored: dict[RunKey, int], *, now_ms: int, lease_ms: int, limit: int) -> Sequence[RunKey]:
    """Of those that are due, past their deadline, or to be fenced."""
    again_ms = now_ms + lease_ms
    return take(scored, until_ms=now_ms, again_ms=again_ms, limit=limit, name=lambda key: key.run_id)


def hurry(world: World, keys: Sequence[RunKey], *, now_ms: int) -> Sequence[RunKey]:
    hurried = [key for key in keys if key in world.adrift[key.instance_id]]
    world.due.update(dict.fromkeys(hurried, now_ms))
    return hurried


def fenced(world: World, key: RunKey, late_result: str) -> None:
    """What is said late is kept beside the final state."""
    world.fences.pop(key, None)
    if key in world.runs and world.runs[key] != Run(key=key):
        world.runs[key] = replace(world.runs[key], late_result=late_result)
