"""What repeats: times that fire once, rounds that leave out who is busy, parts that end, changes."""

from collections import defaultdict
from collections.abc import Sequence

from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey
from cloudassist_tasks.domain.invocation import Firing, InvocationSpec, Repetition, Why
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.ports.events import EventKind
from cloudassist_tasks.ports.invocations import Opened
from cloudassist_tasks.ports.schedules import Due, EndedParts, MissedTicks, OpenedRound, Overlooked, Planned
from tests.model.calls import fan_out, forget_fanout, publish
from tests.model.moves import close_whole
from tests.model.world import EXHAUSTED, STOPPED, Fanout, Whole, World

MISSED_KEPT = 100
TOKEN_TTL_S = 86_400


def due(world: World, *, now_ms: int) -> Sequence[Due]:
    """The longest due first."""
    found = sorted((whole.due_ms, id_) for id_, whole in world.wholes.items() if whole.due_ms is not None)
    return [standing(world.wholes[id_]) for due_ms, id_ in found if due_ms <= now_ms]


def standing(whole: Whole) -> Due:
    """As who looks finds it."""
    assert whole.due_ms is not None
    return Due(
        invoke_id=whole.spec.id,
        due_ms=whole.due_ms,
        tick_ms=whole.tick_ms,
        version=len(whole.specs) - 1,
        timing=whole.spec.timing,
    )


def is_still_due(world: World, due: Due) -> bool:
    """Nobody has fired it meanwhile."""
    whole = world.wholes.get(due.invoke_id)
    return whole is not None and whole.due_ms == due.due_ms


def fire(world: World, planned: Planned, *, batch: int, now_ms: int) -> OpenedRound | None:
    """None unless the schedule is still due at the time that was found, by the spec that was read."""
    due, plan = planned.due, planned.plan
    whole = world.wholes.get(due.invoke_id)
    if whole is None or (whole.due_ms, len(whole.specs) - 1) != (due.due_ms, due.version):
        return None
    whole.due_ms = planned.next_due_ms
    if planned.next_due_ms is None:
        whole.ended = EXHAUSTED
    else:
        whole.tick_ms = plan.next_tick_ms or 0
    assert plan.settled_ms > whole.settled_ms, f"{plan.settled_ms} comes again"
    whole.settled_ms = plan.settled_ms
    if plan.missed:
        _miss(
            whole,
            MissedTicks(
                count=plan.missed,
                first_ms=plan.missed_from_ms,
                last_ms=plan.missed_to_ms,
                seen_ms=now_ms,
                done=due.timing.misfire,
            ),
        )
    if plan.why is None:
        return OpenedRound(number=0, reserved=[], ended=bool(whole.ended))
    return _open(world, whole, plan.why, plan.at_ms, batch, now_ms)


def _miss(whole: Whole, record: MissedTicks) -> None:
    whole.missed_ticks += record.count
    whole.missed = [record, *whole.missed][:MISSED_KEPT]


def open_round(
    world: World,
    invoke_id: InvokeId,
    *,
    why: Why,
    batch: int,
    now_ms: int,
    only: InstanceId | None = None,
    boot: tuple[str, str] | None = None,
    last: bool = False,
) -> OpenedRound | None:
    whole = world.wholes.get(invoke_id)
    if whole is None or whole.ended:
        return None
    if only is not None:
        if whole.paused or only not in whole.members or only in whole.left or only in world.busy(whole):
            return None
        if boot is not None:
            if whole.boots.get(only, "") != boot[0]:
                return None
            whole.boots[only] = boot[1]
        if last:
            whole.left[only] = EXHAUSTED
    return _open(world, whole, why, now_ms, batch, now_ms, only)


def _open(
    world: World, whole: Whole, why: Why, at_ms: int, batch: int, now_ms: int, only: InstanceId | None = None
) -> OpenedRound:
    """With all members that wait for it, or the one alone."""
    whole.number += 1
    whole.rounds.append(whole.number)
    busy = world.busy(whole)
    members = [id_ for id_ in whole.members if id_ not in busy and id_ not in whole.left]
    skipped = frozenset(busy) - frozenset(whole.left)
    if only is not None:
        members, skipped = [only], frozenset()
    fanout = Fanout(
        of=RoundKey(whole.spec.id, whole.number),
        spec=whole.spec,
        members=members,
        opened_ms=now_ms,
        at_once=whole.at_once,
        errors=whole.errors,
        unpublished=list(members),
        firing=Firing(why=why, at_ms=at_ms, opened_ms=now_ms, skipped=len(skipped)),
        version=len(whole.specs) - 1,
        skipped=skipped,
    )
    fan_out(world, fanout)
    ended = bool(whole.ended)
    if not members:
        fanout.finish_ms = now_ms
        return OpenedRound(number=whole.number, skipped=len(skipped), reserved=[], ended=ended)
    whole.counts.update(members)
    whole.latest.update(dict.fromkeys(members, whole.number))
    world.told.append((EventKind.ROUND_OPENED, str(fanout.of), None))
    return OpenedRound(
        number=whole.number,
        total=len(members),
        skipped=len(skipped),
        reserved=publish(world, fanout, batch, now_ms),
        ended=ended,
    )


def end(world: World, invoke_id: InvokeId, *, now_ms: int) -> bool:
    whole = world.wholes.get(invoke_id)
    if whole is None or whole.stop_ms or whole.finish_ms:
        return False
    whole.stop_ms, whole.ended, whole.due_ms = now_ms, STOPPED, None
    return True


def end_parts(
    world: World, invoke_id: InvokeId, ids: Sequence[InstanceId], *, leave: bool, now_ms: int
) -> EndedParts:
    whole = world.wholes.get(invoke_id)
    if whole is None or whole.finish_ms or not (whole.ended or leave):
        return EndedParts(closed=False, busy={})
    busy: defaultdict[int, list[InstanceId]] = defaultdict(list)
    for id_ in ids:
        if id_ not in whole.members or id_ in whole.over:
            continue
        if leave:
            whole.left[id_] = STOPPED
        if id_ in world.busy(whole):
            busy[whole.latest[id_]].append(id_)
        else:
            whole.over[id_] = _how_it_ends(world, whole, id_, leave=leave)
    if leave and not whole.ended and len(whole.left) == len(whole.members):
        whole.ended, whole.stop_ms, whole.due_ms = STOPPED, now_ms, None
    return EndedParts(closed=close_whole(world, whole, now_ms), busy=busy)


def _how_it_ends(world: World, whole: Whole, id_: InstanceId, *, leave: bool) -> RunStatus:
    """The part of a member that waits for a round: as its newest run, if it is not stopped."""
    newest = whole.newest(id_)
    if leave or whole.ended == STOPPED:
        return RunStatus.TERMINATED if newest else RunStatus.CANCELLED
    status = world.runs[newest].status if newest else RunStatus.ABORTED
    return status if status in FINAL else RunStatus.ABORTED


def pause(world: World, invoke_id: InvokeId, overlooked: Overlooked, *, now_ms: int) -> bool:
    whole = world.wholes.get(invoke_id)
    if whole is None or whole.ended or whole.paused or not _take_time(whole, overlooked, now_ms, "paused"):
        return False
    whole.paused = True
    return True


def _take_time(whole: Whole, overlooked: Overlooked, now_ms: int, done: str) -> bool:
    """Its next time is no longer that: not if it is another by now, nor if it has come and is not accounted
    for, as fired or as missed."""
    has_come = whole.due_ms is not None and whole.due_ms <= now_ms
    if whole.due_ms != overlooked.due_ms or (has_come and not overlooked.missed):
        return False
    whole.due_ms = None
    if overlooked.missed:
        whole.settled_ms = overlooked.last_ms
        record = MissedTicks(
            count=overlooked.missed,
            first_ms=overlooked.first_ms,
            last_ms=overlooked.last_ms,
            seen_ms=now_ms,
            done=done,
        )
        _miss(whole, record)
    return True


def resume(
    world: World, invoke_id: InvokeId, found: Repetition, *, next_ms: int | None, tick_ms: int, now_ms: int
) -> bool:
    whole = world.wholes.get(invoke_id)
    if whole is None or whole.ended or not whole.paused:
        return False
    if (found.version, found.settled_ms) != (len(whole.specs) - 1, whole.settled_ms):
        return False
    whole.paused, whole.resumed_ms = False, now_ms
    if next_ms is not None:
        whole.due_ms, whole.tick_ms = next_ms, tick_ms
    return True


def modify(
    world: World,
    spec: InvocationSpec,
    *,
    version: int,
    added: Sequence[InstanceId],
    next_ms: int | None,
    tick_ms: int,
    now_ms: int,
    overlooked: Overlooked,
    token: str,
) -> bool:
    """`version`: that of the new spec. A token that was used is no longer good for anything."""
    whole = world.wholes.get(spec.id)
    if token in world.tokens and world.tokens[token][2] > now_ms:
        return False
    if whole is None or whole.ended or whole.finish_ms or version != len(whole.specs):
        return False
    is_retimed = next_ms is not None and not whole.paused
    if is_retimed and not _take_time(whole, overlooked, now_ms, "changed"):
        return False
    if token:
        answer = Opened(invoke_id=spec.id, command_id=spec.command.id, repeated=False)
        world.tokens[token] = ("changes it", answer, now_ms + 1_000 * TOKEN_TTL_S)
    whole.specs.append(spec)
    if is_retimed:
        whole.due_ms, whole.tick_ms = next_ms, tick_ms
    whole.members += [id_ for id_ in dict.fromkeys(added) if id_ not in whole.members]
    return True


def forget_rounds(world: World, invoke_id: InvokeId, *, keep: int, before_ms: int) -> int:
    """From the oldest on, as long as they are old or too many; those that are open stay. Of one that was
    forgotten, a run that was a member's newest goes once another is."""
    whole = world.wholes.get(invoke_id)
    if whole is None:
        return 0
    for key in world.outlived(whole):
        if whole.newest(key.instance_id) != key:
            del world.runs[key]
            world.outputs.pop(key, None)
    too_many, dropped = len(whole.rounds) - keep, 0
    for number in list(whole.rounds):
        fanout = world.fanouts[RoundKey(invoke_id, number)]
        if fanout.opened_ms >= before_ms and dropped >= too_many:
            break
        if fanout.finish_ms:
            forget_fanout(world, fanout.of)
            whole.rounds.remove(number)
            dropped += 1
    return dropped
