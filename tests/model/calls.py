"""What callers and reconcilers ask of whole invocations: open, publish, stop, give up, forget."""

from collections.abc import Sequence
from dataclasses import replace

from cloudassist_tasks.domain.batching import next_batch
from cloudassist_tasks.domain.delivery import DeliveryKey, DeliveryKind
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import InvocationSpec, Run
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import LEGAL_MOVES, Phase, RunStatus
from cloudassist_tasks.ports.events import EventKind
from cloudassist_tasks.ports.invocations import Opened, Opening, Stopped
from tests.model.moves import end_unheld, room, tell
from tests.model.world import Fanout, Whole, World, take

# -- opening


def open_(world: World, opening: Opening, *, now_ms: int) -> Opened:
    """`Refused` as the port says."""
    if opening.token in world.tokens:
        request_hash, earlier, until_ms = world.tokens[opening.token]
        if until_ms > now_ms and request_hash != opening.request_hash:
            raise Refused(Kind.CLIENT_TOKEN_REUSED, "the model says so")
        if until_ms > now_ms:
            return replace(earlier, repeated=True)
    if world.opened_today >= opening.daily_quota:
        raise Refused(Kind.INVOCATION_QUOTA, "the model says so")
    spec = opening.spec
    world.opened_today += 1
    world.numbered.append(spec.id)
    world.told.append((EventKind.OPENED, spec.id, None))
    at_once, errors = caps_of(spec, len(opening.members))
    if spec.repeats:
        world.wholes[spec.id] = Whole(
            specs=[spec],
            members=list(opening.members),
            at_once=at_once,
            errors=errors,
            due_ms=opening.due_ms,
            tick_ms=opening.tick_ms,
        )
    else:
        fan_out(
            world,
            Fanout(
                of=RoundKey(spec.id),
                spec=spec,
                members=list(opening.members),
                opened_ms=spec.created_ms,
                at_once=at_once,
                errors=errors,
                unpublished=list(opening.members),
            ),
        )
    opened = Opened(invoke_id=spec.id, command_id=spec.command.id, repeated=False)
    if opening.token:
        world.tokens[opening.token] = (opening.request_hash, opened, now_ms + 1_000 * opening.token_ttl_s)
    return opened


def caps_of(spec: InvocationSpec, total: int) -> tuple[int | None, int | None]:
    """How many runs may be in hand at once, and fail; None where it cannot be exceeded."""
    at_once, errors = spec.caps.at_once(total), spec.caps.errors(total)
    return (
        None if at_once is None or at_once >= total else at_once,
        None if errors is None or errors >= total else errors,
    )


def fan_out(world: World, fanout: Fanout) -> None:
    """Its runs are Pending."""
    world.fanouts[fanout.of] = fanout
    world.runs.update({key: Run(key=key) for key in fanout.keys})


# -- publishing


def reserve(
    world: World, of: RoundKey, *, batch: int, window: int, low: int, now_ms: int
) -> Sequence[RunKey]:
    fanout = world.fanouts.get(of)
    if fanout is None or fanout.stop_ms or fanout.halt_ms:
        return []
    places = next_batch(
        published=0,
        total=len(fanout.unpublished),
        unclaimed=len(fanout.unclaimed),
        window=window,
        low=low,
        size=batch,
    )
    return publish(world, fanout, len(places), now_ms)


def publish(world: World, fanout: Fanout, wanted: int, now_ms: int) -> Sequence[RunKey]:
    """The next so many, as far as the cap has room for them."""
    taken = fanout.unpublished[: room(world, fanout, wanted)]
    fanout.unpublished = fanout.unpublished[len(taken) :]
    keys = [fanout.key(id_) for id_ in taken]
    fanout.unclaimed.update(dict.fromkeys(keys, now_ms))
    fanout.published += len(keys)
    fanout.batches += bool(keys)
    return keys


def lost(world: World, of: RoundKey, *, older_than_ms: int, limit: int, now_ms: int) -> Sequence[RunKey]:
    """Published before then and not claimed since; to be published again."""
    fanout = world.fanouts.get(of)
    if fanout is None:
        return []
    return take(
        fanout.unclaimed,
        until_ms=older_than_ms - 1,
        again_ms=now_ms,
        limit=limit,
        name=lambda key: key.run_id,
    )


# -- stopping and giving up


def mark_stop(world: World, invoke_id: InvokeId, *, now_ms: int) -> bool:
    fanout = world.fanouts.get(RoundKey(invoke_id))
    if fanout is None or fanout.stop_ms or fanout.finish_ms:
        return False
    fanout.stop_ms = now_ms
    return True


def stop_runs(
    world: World, of: RoundKey, ids: Sequence[InstanceId], *, now_ms: int, deadline_ms: int
) -> Stopped:
    fanout = world.fanouts.get(of)
    if fanout is None:
        return Stopped(cancelled=[], published=[], told=[], adrift=[], closed=False)
    cancelled, published, told, adrift = list[RunKey](), list[RunKey](), list[RunKey](), list[RunKey]()
    closed = False
    for key in (fanout.key(id_) for id_ in ids if id_ in fanout.members):
        run = world.runs[key]
        if has_not_begun(run) and RunStatus.CANCELLED in LEGAL_MOVES[run.status]:
            cancelled.append(key)
            published += [key] if key in fanout.unclaimed else []
            run = replace(run, stop_requested=True, stop_ms=now_ms)
            closed |= end_unheld(world, run, Outcome(status=RunStatus.CANCELLED), now_ms=now_ms)
        elif run.status is RunStatus.STOPPING or RunStatus.STOPPING in LEGAL_MOVES[run.status]:
            _ask_to_stop(world, run, now_ms, deadline_ms)
            (told if run.worker else adrift).append(key)
    return Stopped(cancelled=cancelled, published=published, told=told, adrift=adrift, closed=closed)


def has_not_begun(run: Run) -> bool:
    """Nobody has it, and nothing was sent to its host."""
    return run.worker is None and run.phase is Phase.QUEUED


def _ask_to_stop(world: World, run: Run, now_ms: int, deadline_ms: int) -> None:
    key = run.key
    if run.status is not RunStatus.STOPPING:
        world.runs[key] = replace(
            run, status=RunStatus.STOPPING, stop_requested=True, stop_ms=now_ms, update_ms=now_ms
        )
        tell(world, key)
        if run.phase is Phase.LAUNCHING:
            world.deadlines[key] = max(deadline_ms, world.deadlines.get(key, deadline_ms))
    if run.worker is None and key in world.adrift[key.instance_id]:
        world.due_instances[key.instance_id] = now_ms
    elif run.worker is None:
        world.due[key] = now_ms


def abort_unclaimed(
    world: World, of: RoundKey, ids: Sequence[InstanceId], *, outcome: Outcome, now_ms: int
) -> bool:
    fanout, closed = world.fanouts.get(of), False
    if fanout is None:
        return False
    for key in (fanout.key(id_) for id_ in ids if id_ in fanout.members):
        run = world.runs[key]
        if has_not_begun(run) and outcome.status in LEGAL_MOVES[run.status]:
            closed |= end_unheld(world, run, outcome, now_ms=now_ms)
    return closed


# -- forgetting


def forget_older_than(world: World, before_ms: int, *, limit: int) -> int:
    """Closed ones that were opened before then; a schedule must have closed before then, too."""
    old = [id_ for id_ in world.numbered if _may_go(world, id_, before_ms)][:limit]
    for id_ in old:
        world.numbered.remove(id_)
        if whole := world.wholes.pop(id_, None):
            for number in whole.rounds:
                forget_fanout(world, RoundKey(id_, number))
        else:
            forget_fanout(world, RoundKey(id_))
        for key in [key for key in world.runs if key.invoke_id == id_]:
            del world.runs[key]
            world.outputs.pop(key, None)
    return len(old)


def _may_go(world: World, id_: InvokeId, before_ms: int) -> bool:
    if id_ in world.wholes:
        whole = world.wholes[id_]
        return whole.specs[0].created_ms < before_ms and 0 < whole.finish_ms < before_ms
    fanout = world.fanouts[RoundKey(id_)]
    return fanout.opened_ms < before_ms and fanout.finish_ms > 0


def forget_fanout(world: World, of: RoundKey) -> None:
    """With its runs, but for the newest of each member of a schedule; nobody is told of its close now."""
    fanout = world.fanouts.pop(of)
    whole = world.wholes.get(of.invoke_id)
    for key in fanout.keys:
        if whole is None or whole.newest(key.instance_id) != key:
            del world.runs[key]
            world.outputs.pop(key, None)
    for kind in DeliveryKind:
        delivery = DeliveryKey(kind, of.invoke_id, of.round)
        for known in (world.outbox, world.dead_letters, world.trials):
            known.pop(delivery, None)
