"""Compare the whole store with the model: every key there is, every index, run, header, tally and listing."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.rollup import invocation_status
from cloudassist_tasks.domain.status import OPEN, InvocationStatus, RunStatus
from cloudassist_tasks.ports.listing import InvocationFilter
from cloudassist_tasks.ports.schedules import Standing
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.hashes import hash_of
from cloudassist_tasks.store.redis_store import RedisStore
from cloudassist_tasks.store.run_records import output_from, run_from
from tests.model.world import STOPPED, Fanout, Whole, World

NOT_COMPARED = ("ca:asked:", "ca:by:", "ca:command", "ca:day:", "ca:events", "ca:instances", "ca:turn:")
"""Beginnings of keys that have no counterpart in the model; what they are for is compared otherwise: marks by
listings, events by their cursor; what was asked, by its answer."""
ALSO_NOT = (keys.LAST_NUMBER, keys.NAMES)


@dataclass(frozen=True, slots=True)
class Look:
    """At one key: how it is read, and what should be there."""

    name: str
    words: tuple[str | int, ...]
    read: Callable[[Any], object]
    expected: object


async def compare(store: RedisStore, world: World) -> None:
    """`AssertionError` shows the first difference."""
    looks = [look for look in _looks(world) if look.expected]
    expected, reading = list(world.everything()), store.invocations
    there, *replies = await store.link.batch([("KEYS", "ca:*"), *(look.words for look in looks)])
    found = {name.decode() for name in there}
    compared = {name for name in found if not name.startswith((*NOT_COMPARED, *ALSO_NOT))}
    known = {look.name for look in looks} | set(_only_there(world))
    assert compared == known, f"not known: {sorted(compared - known)}; missing: {sorted(known - compared)}"
    for look, reply in zip(looks, replies, strict=True):
        same(look.name, look.read(reply), look.expected)
    invocations = await asyncio.gather(*(reading.get(of.invoke_id, round=of.round) for of in expected))
    for of, invocation in zip(expected, invocations, strict=True):
        same(f"invocation {of}", invocation, world.invocation(of))


def same(what: str, found: object, expected: object) -> None:
    assert found == expected, f"{what}:\nthe store: {found}\nthe model: {expected}"


# -- each key


def _looks(world: World) -> Iterator[Look]:
    runs = ((key, run) for key, run in world.runs.items() if run != Run(key=key))
    yield from (Look(keys.run(key), ("HGETALL", keys.run(key)), _run(key), run) for key, run in runs)
    yield from (
        Look(
            keys.output(key),
            ("HGETALL", keys.output(key)),
            lambda flat: output_from(hash_of(flat)).head,
            head,
        )
        for key, head in world.outputs.items()
    )
    yield _scored(keys.DUE, _by_run(world.due))
    yield _scored(keys.DUE_INSTANCES, world.due_instances)
    yield _scored(keys.DEADLINES, _by_run(world.deadlines))
    yield _scored(keys.FENCES, _by_run(world.fences))
    yield _scored(keys.WORKERS, world.workers)
    yield _scored(keys.OUTBOX, {str(key): at_ms for key, at_ms in world.outbox.items()})
    yield _scored(keys.DEAD_LETTERS, {str(key): at_ms for key, at_ms in world.dead_letters.items()})
    stopping = (key for key, run in world.runs.items() if run.status is RunStatus.STOPPING)
    yield _set(keys.STOPPING, _ids(stopping))
    for worker, claims in world.claims.items():
        yield _set(keys.claims(worker), _ids(claims))
    for instance_id in world.slots | world.adrift:
        yield _set(keys.slots(instance_id), _ids(world.slots[instance_id]))
        yield _scored(keys.waiting(instance_id), _by_run(world.waiting[instance_id]))
        yield _set(keys.adrift(instance_id), _ids(world.adrift[instance_id]))
    yield from _looks_at_listings(world)
    for fanout in world.fanouts.values():
        yield from _looks_at_fanout(world, fanout)
    for whole in world.wholes.values():
        yield from _looks_at_whole(world, whole)


def _looks_at_listings(world: World) -> Iterator[Look]:
    entries = {RoundKey(id_): whole.entry for id_, whole in world.wholes.items()}
    entries |= {of: fanout.entry for of, fanout in world.fanouts.items()}
    yield _in_order(keys.INVOCATIONS, [entries[RoundKey(id_)] for id_ in world.numbered])
    yield _in_order(keys.OPEN, [entries[of] for of in world.open_rounds()])
    yield _in_order(keys.SCHEDULES, [entries[RoundKey(id_)] for id_ in world.open_schedules()])
    due = {id_: whole.due_ms for id_, whole in world.wholes.items() if whole.due_ms is not None}
    yield _scored(keys.DUE_SCHEDULES, due)


def _looks_at_fanout(world: World, fanout: Fanout) -> Iterator[Look]:
    id_, round_ = fanout.of.invoke_id, fanout.of.round
    yield _in_order(keys.members(id_, round_), fanout.members)
    yield _in_order(keys.unpublished(id_, round_), fanout.unpublished)
    yield _scored(keys.unclaimed(id_, round_), _by_run(fanout.unclaimed))
    yield _ranked(keys.skipped(id_, round_), fanout.skipped)
    if fanout.members:
        open_ = str(sum(world.runs[key].status in OPEN for key in fanout.keys))
        yield _field(keys.tally(id_, round_), "open", open_)
    yield _field(keys.header(id_, round_), "entry", fanout.entry)


def _looks_at_whole(world: World, whole: Whole) -> Iterator[Look]:
    id_ = whole.spec.id
    open_ = str(sum(world.part(whole, member) in OPEN for member in whole.members))
    yield _field(keys.tally(id_), "open", open_)
    yield _field(keys.header(id_), "entry", whole.entry)
    yield _in_order(keys.members(id_), whole.members)
    yield _in_order(keys.rounds(id_), [str(number) for number in whole.rounds])
    yield _ranked(keys.busy(id_), world.busy(whole))
    yield _scored(keys.left(id_), {one: int(why != STOPPED) for one, why in whole.left.items()})
    yield _scored(keys.latest(id_), whole.latest)
    yield _scored(keys.outlived(id_), {key.instance_id: key.round for key in world.outlived(whole)})
    yield _fields(keys.counts(id_), {one: str(count) for one, count in whole.counts.items()})
    yield _fields(keys.ended(id_), whole.over)
    yield _fields(keys.boots(id_), whole.boots)
    missed = [f"{m.count} {m.first_ms} {m.last_ms} {m.seen_ms} {m.done}" for m in reversed(whole.missed)]
    yield Look(keys.missed(id_), ("LRANGE", keys.missed(id_), 0, -1), _texts, missed)


def _only_there(world: World) -> Iterator[str]:
    """Keys that must be, whatever stands in them."""
    yield from (keys.token(token) for token in world.tokens)
    yield from (keys.worker(worker) for worker in world.known_workers)
    yield from (keys.delivery(key) for key in world.trials)
    yield from (keys.instance(instance_id) for instance_id in world.registered)
    yield from (keys.spec(of.invoke_id) for of in world.fanouts if not of.round)
    for id_, whole in world.wholes.items():
        yield from (keys.spec(id_, version) for version in range(len(whole.specs)))
        yield from (keys.members_in(id_, status) for status in whole.over.values())


# -- how it is read


def _texts(reply: Sequence[bytes]) -> list[str]:
    return [each.decode() for each in reply]


def _numbers(flat: Sequence[bytes]) -> dict[str, int]:
    return {name.decode(): int(score) for name, score in zip(flat[::2], flat[1::2], strict=True)}


def _run(key: RunKey) -> Callable[[Any], Run]:
    return lambda flat: run_from(key, hash_of(flat))


def _set(name: str, expected: Iterable[str]) -> Look:
    return Look(name, ("SMEMBERS", name), lambda reply: set(_texts(reply)), set(expected))


def _ranked(name: str, expected: Iterable[str]) -> Look:
    """A sorted set whose order does not matter."""
    return Look(name, ("ZRANGE", name, 0, -1), lambda reply: set(_texts(reply)), set(expected))


def _in_order(name: str, expected: Sequence[str]) -> Look:
    return Look(name, ("ZRANGE", name, 0, -1), _texts, list(expected))


def _scored(name: str, expected: Mapping[Any, int]) -> Look:
    return Look(name, ("ZRANGE", name, 0, -1, "WITHSCORES"), _numbers, dict(expected))


def _fields(name: str, expected: Mapping[Any, str]) -> Look:
    def read(flat: Any) -> dict[str, str]:
        return {field.decode(): value.decode() for field, value in hash_of(flat).items()}

    return Look(name, ("HGETALL", name), read, dict(expected))


def _field(name: str, field: str, expected: str) -> Look:
    return Look(name, ("HGET", name, field), lambda reply: reply and reply.decode(), expected)


def _ids(some: Iterable[RunKey]) -> set[str]:
    return {key.run_id for key in some}


def _by_run(scored: Mapping[RunKey, int]) -> dict[str, int]:
    return {key.run_id: score for key, score in scored.items()}


# -- listings


async def compare_listings(store: RedisStore, world: World, turn: int) -> None:
    """One of each kind of question per turn: they cost more than all the rest."""
    status = list(RunStatus)[turn % len(RunStatus)]
    state = list(InvocationStatus)[turn % len(InvocationStatus)]
    in_status = InvocationFilter(run_statuses=frozenset({status}))
    members = {id_ for fanout in world.fanouts.values() for id_ in fanout.members}
    instances = sorted(members) or [InstanceId("i-0")]
    of_instance = instances[turn % len(instances)]
    tallies = {id_: world.tally(RoundKey(id_)) for id_ in reversed(world.numbered)}

    by_state, by_instance, place, in_use = await asyncio.gather(
        store.invocations.page(
            InvocationFilter(states=lambda present: _state(present) is state), limit=50, count=True
        ),
        store.invocations.page(
            InvocationFilter(run_statuses=frozenset({status}), instance_id=of_instance),
            limit=50,
            count=True,
        ),
        store.invocations.run_place(in_status, skip=0),
        store.link.call("HGETALL", keys.COMMANDS_IN_USE),
    )

    wanted = [id_ for id_, tally in tallies.items() if invocation_status(tally) is state]
    same(f"listing of {state}", [each.spec.id for each in by_state.items], wanted)
    wanted = [id_ for id_ in tallies if world.status_on(id_, of_instance) is status]
    same(f"listing of {status} on {of_instance}", [each.spec.id for each in by_instance.items], wanted)
    same(f"count of {status}", place.total, sum(tally.get(status, 0) for tally in tallies.values()))
    in_use_ = {id_.decode(): int(count) for id_, count in hash_of(in_use).items()}
    same("commands in use", in_use_, dict(world.commands_in_use()))
    await _compare_open_ones(store, world, after=turn % 3)


async def _compare_open_ones(store: RedisStore, world: World, *, after: int) -> None:
    """As they are read: in pieces."""
    rounds, ids = await asyncio.gather(
        store.invocations.open_rounds(limit=2, after=after), store.schedules.open_ids(limit=2, after=after)
    )
    same("open rounds", list(rounds), world.open_rounds()[after : after + 2])
    same("open schedules", list(ids), world.open_schedules()[after : after + 2])
    known = list(world.wholes)
    standing = await store.schedules.standing(known)
    same("schedules at one moment", list(standing), [_standing(world, id_) for id_ in known])


def _standing(world: World, id_: InvokeId) -> Standing:
    whole, newest = world.wholes[id_], RoundKey(id_, world.wholes[id_].number)
    return Standing(
        whole=world.invocation(RoundKey(id_)),
        next_ms=whole.due_ms,
        newest=world.invocation(newest) if newest in world.fanouts else None,
    )


def _state(present: frozenset[RunStatus]) -> InvocationStatus:
    return invocation_status(dict.fromkeys(present, 1))
