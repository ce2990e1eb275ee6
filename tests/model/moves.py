"""What a worker does to a run: claim, launch, see it start, end it, or give it back.

A move that the table of legal moves does not have, or whose claim is stale, changes nothing.
"""

from dataclasses import replace

from cloudassist_tasks.domain.caps import outcome_of_halt
from cloudassist_tasks.domain.delivery import DeliveryKey
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.rollup import UNSUCCESSFUL
from cloudassist_tasks.domain.status import FINAL, LEGAL_MOVES, OPEN, Phase, RunStatus
from cloudassist_tasks.ports.events import EventKind
from cloudassist_tasks.ports.runs import Claim, ClaimWord, Finished, Held, Moved
from tests.model.world import STOPPED, Fanout, Whole, World

NEXT_DUE_AFTER_MS = 3_000
"""When a run is published again that was promised the slot of another, should its message be lost."""


# -- claims


def claim(
    world: World, key: RunKey, *, worker: WorkerId, now_ms: int, at_once: int, may_wait: int, force: bool
) -> Claim:
    fanout = world.fanout_of(key)
    if fanout is None:
        world.due.pop(key, None)
        return Claim(word=ClaimWord.UNKNOWN)
    run = world.runs[key]
    if run.status in FINAL:
        off_the_queue(world, fanout, key)
        return _answer(fanout, ClaimWord.FINAL)
    if is_buried(world, worker):
        return Claim(word=ClaimWord.TAKEN)
    if run.worker is not None and not force and is_known(world, run.worker):
        off_the_queue(world, fanout, key)
        return Claim(word=ClaimWord.TAKEN)
    phase = Phase.QUEUED if run.phase is Phase.CLAIMED else run.phase
    run = replace(run, phase=phase)
    if phase is Phase.QUEUED and (outcome := _why_not(fanout, run)):
        return _refuse(world, fanout, run, ClaimWord.CANCELLED, outcome, now_ms)
    if key.instance_id in fanout.unpublished and room(world, fanout, 1) == 0:
        world.due.pop(key, None)
        return _answer(fanout, ClaimWord.WAITS)
    if key not in world.slots[key.instance_id]:
        waiting = world.waiting[key.instance_id]
        if len(world.slots[key.instance_id]) >= at_once:
            if key not in waiting and len(waiting) >= may_wait:
                return _refuse(
                    world, fanout, run, ClaimWord.REFUSED, _too_many(key, at_once, may_wait), now_ms
                )
            waiting.setdefault(key, now_ms)
            off_the_queue(world, fanout, key)
            return _answer(fanout, ClaimWord.WAITS)
        world.slots[key.instance_id].add(key)
        waiting.pop(key, None)
    return _hold(world, fanout, run, worker, now_ms)


def _why_not(fanout: Fanout, run: Run) -> Outcome | None:
    """Why a run must not begin any more."""
    if fanout.stop_ms or run.stop_requested:
        return Outcome(status=RunStatus.CANCELLED)
    if fanout.halt_ms and fanout.errors is not None:
        return outcome_of_halt(fanout.errors)
    return None


def _too_many(key: RunKey, at_once: int, may_wait: int) -> Outcome:
    return Outcome(
        status=RunStatus.ABORTED,
        error_code=ErrorCode.TASK_CONCURRENCY_LIMIT,
        error_info=f"{may_wait} runs wait for {key.instance_id} already ({at_once} at once); try again later",
    )


def _refuse(world: World, fanout: Fanout, run: Run, word: ClaimWord, outcome: Outcome, now_ms: int) -> Claim:
    if fanout.stop_ms or run.stop_requested:
        run = replace(run, stop_requested=True, stop_ms=now_ms)
    off_the_queue(world, fanout, run.key)
    closed = end_unheld(world, run, outcome, now_ms=now_ms)
    return _answer(fanout, word, closed)


def _hold(world: World, fanout: Fanout, run: Run, worker: WorkerId, now_ms: int) -> Claim:
    key = run.key
    run = replace(
        run,
        phase=Phase.CLAIMED if run.phase is Phase.QUEUED else run.phase,
        worker=worker,
        epoch=run.epoch + 1,
        deliveries=run.deliveries + 1,
        update_ms=now_ms,
    )
    world.runs[key] = run
    world.claims[worker].add(key)
    world.workers.setdefault(worker, now_ms)
    off_the_queue(world, fanout, key)
    adrift = world.adrift[key.instance_id]
    if key in adrift:
        adrift.remove(key)
        if not adrift:
            world.due_instances.pop(key.instance_id, None)
    held = Held(key=key, worker=worker, epoch=run.epoch)
    return replace(_answer(fanout, ClaimWord.HELD), held=held, run=run)


def _answer(fanout: Fanout, word: ClaimWord, closed: bool = False) -> Claim:
    return Claim(
        word=word, unclaimed=len(fanout.unclaimed), unpublished=len(fanout.unpublished), closed=closed
    )


def is_known(world: World, worker: WorkerId) -> bool:
    """Alive, or not buried yet."""
    return world.workers.get(worker, -1) >= 0


def is_buried(world: World, worker: WorkerId) -> bool:
    return world.workers.get(worker, 0) < 0


def room(world: World, fanout: Fanout, wanted: int) -> int:
    """How many more may be taken in hand."""
    if fanout.at_once is None:
        return wanted
    in_hand = sum(world.runs[key].status in OPEN for key in fanout.keys) - len(fanout.unpublished)
    return max(0, min(wanted, fanout.at_once - in_hand))


def off_the_queue(world: World, fanout: Fanout, key: RunKey) -> None:
    """Its message has come, whoever sent it."""
    world.due.pop(key, None)
    if key.instance_id in fanout.unpublished:
        fanout.unpublished.remove(key.instance_id)
        fanout.published += 1
    fanout.unclaimed.pop(key, None)


# -- moves


def _is_stale(world: World, held: Held) -> bool:
    run = world.runs.get(held.key)
    if run is not None and (run.worker, run.epoch) == (held.worker, held.epoch):
        return False
    if run is None or run.worker != held.worker:
        world.claims[held.worker].discard(held.key)
    return True


def _moved(world: World, held: Held, *, done: bool, stale: bool = False) -> Moved:
    run = world.runs.get(held.key, Run(key=held.key))
    return Moved(done=done, status=run.status, stop_requested=run.stop_requested, stale=stale)


def commit_launching(world: World, held: Held, *, boot_id: str, deadline_ms: int, now_ms: int) -> Moved:
    if _is_stale(world, held):
        return _moved(world, held, done=False, stale=True)
    run, fanout = world.runs[held.key], world.fanout_of(held.key)
    stopped = run.stop_requested or fanout is None or fanout.stop_ms > 0
    if stopped or run.status is not RunStatus.PENDING:
        return replace(_moved(world, held, done=False), stop_requested=stopped)
    world.runs[held.key] = replace(
        run, phase=Phase.LAUNCHING, boot_id=boot_id, launch_ms=now_ms, update_ms=now_ms
    )
    world.deadlines[held.key] = deadline_ms
    return _moved(world, held, done=True)


def started(world: World, held: Held, *, start_ms: int, now_ms: int) -> Moved:
    if _is_stale(world, held):
        return _moved(world, held, done=False, stale=True)
    run = world.runs[held.key]
    if run.status is RunStatus.RUNNING:
        return _moved(world, held, done=True)
    if RunStatus.RUNNING not in LEGAL_MOVES[run.status]:
        return _moved(world, held, done=False)
    world.runs[held.key] = replace(run, status=RunStatus.RUNNING, start_ms=start_ms, update_ms=now_ms)
    tell(world, held.key)
    return _moved(world, held, done=True)


def record_output(world: World, held: Held, output: bytes, *, now_ms: int) -> Moved:
    if _is_stale(world, held):
        return _moved(world, held, done=False, stale=True)
    run = world.runs[held.key]
    if run.status in FINAL:
        return _moved(world, held, done=False)
    if len(world.outputs.get(held.key, b"")) > len(output):
        return _moved(world, held, done=True)
    world.outputs[held.key] = output
    world.runs[held.key] = replace(run, output_bytes=len(output), update_ms=now_ms)
    return _moved(world, held, done=True)


def finish(world: World, held: Held, outcome: Outcome, *, output: bytes, now_ms: int) -> Finished:
    """`start_ms` is half a second before `now_ms`, `finish_ms` the same."""
    key = held.key
    if _is_stale(world, held):
        return Finished(moved=_moved(world, held, done=False, stale=True))
    run, fanout = world.runs[key], world.fanouts.get(key.of)
    if key in world.ends and world.ends[key][:3] == (held, outcome.status, now_ms):
        return replace(world.ends[key][3], capped=fanout is not None and _is_capped(fanout, now_ms))
    if outcome.status not in LEGAL_MOVES[run.status] or fanout is None:
        return Finished(moved=_moved(world, held, done=False))
    if output:
        world.outputs[key] = output
    world.claims[held.worker].discard(key)
    world.deadlines.pop(key, None)
    run = replace(run, output_bytes=len(output), start_ms=now_ms - 500)
    next_ = _end(world, _ended(run, outcome, now_ms), due_ms=now_ms + NEXT_DUE_AFTER_MS)
    _heed_errors(world, fanout, now_ms)
    closed = _close(world, fanout, now_ms)
    finished = Finished(
        moved=_moved(world, held, done=True),
        closed=closed,
        next=next_,
        capped=_is_capped(fanout, now_ms),
    )
    world.ends[key] = (held, outcome.status, now_ms, finished)
    return finished


def _is_capped(fanout: Fanout, now_ms: int) -> bool:
    return fanout.halt_ms == now_ms or (fanout.at_once is not None and bool(fanout.unpublished))


def give_back(world: World, held: Held, *, look_at_ms: int, adrift: bool, now_ms: int) -> bool:
    key = held.key
    if _is_stale(world, held) or world.runs[key].status in FINAL:
        return False
    run = world.runs[key]
    launched = run.phase is Phase.LAUNCHING
    world.runs[key] = replace(
        run, worker=None, phase=run.phase if launched else Phase.QUEUED, update_ms=now_ms
    )
    world.claims[held.worker].discard(key)
    if launched and adrift and not run.stop_requested:
        set_adrift(world, key, look_at_ms)
    else:
        world.due[key] = now_ms if run.stop_requested else look_at_ms
    return True


def set_adrift(world: World, key: RunKey, look_at_ms: int) -> None:
    world.adrift[key.instance_id].add(key)
    earliest_ms = min(look_at_ms, world.due_instances.get(key.instance_id, look_at_ms))
    world.due_instances[key.instance_id] = earliest_ms


# -- ends


def end_unheld(world: World, run: Run, outcome: Outcome, *, now_ms: int) -> bool:
    """A run that nobody holds ends. True if that was the close."""
    fanout = world.fanouts[run.key.of]
    fanout.unclaimed.pop(run.key, None)
    if run.key.instance_id in fanout.unpublished:
        fanout.unpublished.remove(run.key.instance_id)
    world.due.pop(run.key, None)
    _end(world, replace(_ended(run, outcome, now_ms), worker=None), due_ms=now_ms)
    _heed_errors(world, fanout, now_ms)
    return _close(world, fanout, now_ms)


def _ended(run: Run, outcome: Outcome, now_ms: int) -> Run:
    return replace(
        run,
        status=outcome.status,
        error_code=outcome.error_code,
        error_info=outcome.error_info,
        exit_code=outcome.exit_code,
        finish_ms=now_ms,
        update_ms=now_ms,
    )


def _end(world: World, run: Run, *, due_ms: int) -> RunKey | None:
    """It leaves its instance; the run that is promised its slot is returned, and due at `due_ms`."""
    key = run.key
    assert run.status in FINAL
    assert run.status in LEGAL_MOVES[world.runs[key].status], (world.runs[key].status, run.status)
    world.runs[key] = run
    tell(world, key)
    if key.of.round:
        _rest(world.wholes[key.invoke_id], key.instance_id, run.status)
    slots, waiting = world.slots[key.instance_id], world.waiting[key.instance_id]
    if key not in slots:
        waiting.pop(key, None)
        return None
    slots.remove(key)
    if not waiting:
        return None
    next_ = min(waiting, key=lambda one: (waiting[one], one.run_id))
    del waiting[next_]
    slots.add(next_)
    world.due[next_] = due_ms
    return next_


def _rest(whole: Whole, id_: InstanceId, status: RunStatus) -> None:
    """In a schedule, a member whose run has ended waits for the next round, unless there is none for it."""
    why = whole.left.get(id_, whole.ended)
    if not why:
        return
    ran_before = why == STOPPED and status is RunStatus.CANCELLED and whole.counts[id_] > 1
    whole.over[id_] = RunStatus.TERMINATED if ran_before else status


def _heed_errors(world: World, fanout: Fanout, now_ms: int) -> None:
    """One failure too many keeps what has not begun from beginning."""
    failed = sum(world.runs[key].status in UNSUCCESSFUL for key in fanout.keys)
    if fanout.errors is not None and failed > fanout.errors and not fanout.halt_ms:
        fanout.halt_ms = now_ms


def _close(world: World, fanout: Fanout, now_ms: int) -> bool:
    if fanout.finish_ms or world.is_open(fanout.of):
        closed = False
    else:
        closed = True
        fanout.finish_ms = now_ms
        kind = EventKind.ROUND_CLOSED if fanout.of.round else EventKind.CLOSED
        world.told.append((kind, str(fanout.of), None))
        for delivery in fanout.spec.deliveries:
            world.outbox[DeliveryKey(delivery, fanout.of.invoke_id, fanout.of.round)] = now_ms
    if fanout.of.round:
        close_whole(world, world.wholes[fanout.of.invoke_id], now_ms)
    return closed


def close_whole(world: World, whole: Whole, now_ms: int) -> bool:
    """A schedule closes once every member's part is over."""
    if whole.finish_ms or world.is_open(RoundKey(whole.spec.id)):
        return False
    whole.finish_ms = now_ms
    world.told.append((EventKind.CLOSED, whole.spec.id, None))
    return True


def tell(world: World, key: RunKey) -> None:
    world.told.append((EventKind.RUN, key.run_id, world.runs[key].status))
