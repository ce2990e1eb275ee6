"""Invocations of all kinds in a store, filters of all kinds, and what fits found the slow way.

For tests of listings: what an index answers is compared with what reading everything answers.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cloudassist_tasks.domain.command import CommandType
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Invocation, InvocationKind, RepeatMode, Why
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.rollup import invocation_status
from cloudassist_tasks.domain.status import OPEN, InvocationStatus, RunStatus
from cloudassist_tasks.domain.tags import tags_match
from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.ports.listing import ANY_STATUS, InvocationFilter
from cloudassist_tasks.ports.store import Store
from tests.support.store import make

__all__ = ["end", "everything", "fill", "fits", "opened", "some_filter"]

S = RunStatus

ENDS = (S.SUCCESS, S.FAILED, S.TIMEOUT, S.INVALID)

SHELL = CommandType.SHELL


async def opened(store: Store, number: int, *members: str, **fields: Any) -> InvokeId:
    command = make.command(
        kept=False,
        id=CommandId(fields.pop("command", "c-0")),
        type=fields.pop("type", SHELL),
        name=fields.pop("name", ""),
    )
    id_ = fields.pop("id", f"t-{number:04}")
    spec = make.spec(command, id=InvokeId(id_), created_ms=1_000 + number, **fields)
    await make.opened(store, *members, spec=spec)
    return spec.id


async def end(
    store: Store, invoke_id: InvokeId, instance_id: str, status: RunStatus, *, round: int = 0
) -> None:
    await store.invocations.abort_unclaimed(
        invoke_id, [InstanceId(instance_id)], round=round, outcome=Outcome(status=status), now_ms=5_000
    )


async def some_rounds(store: Store, id_: InvokeId, chance: random.Random) -> int:
    """Of a schedule: none, or some of which all but the newest have ended; its number."""
    number = 0
    for _ in range(chance.randrange(3)):
        for member in await store.invocations.members(id_) if number else ():
            await end(store, id_, member, chance.choice(ENDS), round=number)
        opened = await store.schedules.open_round(id_, why=Why.ASKED, batch=2, now_ms=3_000)
        assert opened is not None
        number = opened.number
    return number


async def some_leave(store: Store, id_: InvokeId, chance: random.Random) -> None:
    """Of a schedule: nobody, one, or it is stopped."""
    members = await store.invocations.members(id_)
    match chance.randrange(3):
        case 0:
            await store.schedules.end_parts(id_, members[:1], leave=True, now_ms=4_000)
        case 1:
            await store.schedules.end(id_, now_ms=4_000)
            await store.schedules.end_parts(id_, members, leave=False, now_ms=4_000)


async def fill(store: Store, count: int, chance: random.Random) -> None:
    """Invocations of all kinds: some open, some ended, some both."""
    for number in range(count):
        members = [f"i-{n}" for n in chance.sample(range(6), chance.choice((1, 1, 2, 5)))]
        id_ = await opened(
            store,
            number,
            *members,
            id=f"{chance.choice('tttf')}-{number:04}",
            command=f"c-{number % 7}",
            type=chance.choice((SHELL, SHELL, CommandType.POWERSHELL)),
            name=chance.choice(("", "deploy web", "deploy db", "check*", "[a-z]+")),
            tags=chance.choice(({}, {"env": "prod"}, {"env": "test", "1.e=x": ""}, {"env": ""})),
            repeat_mode=chance.choice((RepeatMode.ONCE, RepeatMode.ONCE, RepeatMode.PERIOD)),
            resource_group=chance.choice(("", "rg-1", "rg-2")),
        )
        invocation = await store.invocations.get(id_)
        assert invocation is not None
        round_ = await some_rounds(store, id_, chance) if invocation.spec.repeats else 0
        for member in members if round_ or not invocation.spec.repeats else ():
            match chance.randrange(6):
                case 0:  # few: an instance has ten places
                    await make.running(store, RunKey(id_, InstanceId(member), round_))
                case 1 | 2 | 3:
                    await end(store, id_, member, chance.choice(ENDS), round=round_)
        if invocation.spec.repeats:
            await some_leave(store, id_, chance)


def some_filter(chance: random.Random) -> InvocationFilter:
    """Each part is there or not."""

    def maybe(make_it: Callable[[], Any], otherwise: Any, of: int = 4) -> Any:
        return otherwise if chance.randrange(of) else make_it()

    status = maybe(lambda: chance.choice(list(InvocationStatus)), None, 3)
    return InvocationFilter(
        kind=chance.choice((*3 * [InvocationKind.COMMAND], InvocationKind.FILE)),
        invoke_id=maybe(lambda: InvokeId(f"t-{chance.randrange(60):04}"), None, 8),
        command_id=maybe(lambda: CommandId(f"c-{chance.randrange(9)}"), None),
        command_type=maybe(lambda: "RunShellScript", ""),
        name=maybe(
            lambda: chance.choice(("deploy*", "*b", "*e*w*", "check*", "[a-z]+", "*", "deploy db")), ""
        ),
        instance_id=maybe(lambda: InstanceId(f"i-{chance.randrange(7)}"), None, 2),
        run_statuses=maybe(lambda: frozenset(chance.sample(list(S), 4)), ANY_STATUS, 2),
        states=(lambda present: invocation_status(dict.fromkeys(present, 1)) == status) if status else None,
        repeat_mode=maybe(lambda: "Period", "", 8),
        timed=maybe(lambda: chance.choice((True, False)), None),
        resource_group=maybe(lambda: "rg-1", ""),
        tags=maybe(lambda: chance.choice(({"env": None}, {"env": "prod"}, {"1.e=x": ""}, {"no": None})), {}),
    )


async def fits(store: Store, wanted: InvocationFilter, one: Invocation) -> bool:
    """The same question, asked of one invocation as it is read."""
    spec, present = one.spec, frozenset(one.tally)
    runs = await store.runs.of(one, await store.invocations.members(spec.id))
    assert one.tally == Counter(run.status for run in runs), spec.id
    if wanted.instance_id is not None:
        runs = [run for run in runs if run.key.instance_id == wanted.instance_id]
    timed = spec.repeat_mode is RepeatMode.PERIOD and bool(present & OPEN)
    return (
        spec.kind is wanted.kind
        and wanted.invoke_id in (None, spec.id)
        and wanted.command_id in (None, spec.command.id)
        and wanted.command_type in ("", spec.command.type)
        and (not wanted.name or matches(wanted.name, spec.command.name))
        and any(run.status in wanted.run_statuses for run in runs)
        and (wanted.states is None or wanted.states(present))
        and wanted.repeat_mode in ("", spec.repeat_mode)
        and wanted.timed in (None, timed)
        and wanted.resource_group in ("", spec.resource_group)
        and tags_match(wanted.tags, spec.tags)
    )


async def everything(store: Store) -> Sequence[Invocation]:
    found: list[Invocation] = []
    for kind in InvocationKind:
        found += (await store.invocations.page(InvocationFilter(kind=kind), limit=999)).items
    return sorted(found, key=lambda one: one.spec.created_ms, reverse=True)
