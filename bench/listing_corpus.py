"""What `bench/listing.py` lists: invocations, files, kept commands and instances, put into a store.

All through the store's own steps; runs end by the one that ends what nobody has claimed.
"""

import asyncio
import random
from collections.abc import Awaitable, Iterable
from dataclasses import replace

from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.file import FileSpec
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.invocations import Opening
from cloudassist_tasks.ports.store import Store

__all__ = ["BUSY", "LARGE", "fill"]

BUSY = InstanceId("i-0")
"""A member of more than half of all invocations."""

LARGE = InvokeId("t-large")
"""On 10,000 instances; 3 runs fail, the last."""

AT_ONCE = 200
CHUNK = 1_000
INSTANCES = 10_000
COMMANDS = 5_000

CONTENT = Secret(b"echo ok\n" * 20)

ENDS = (RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.TIMEOUT, RunStatus.CANCELLED)


async def fill(store: Store, count: int) -> None:
    """`count` invocations, of which a twentieth send files; 10,000 instances and 5,000 kept commands."""
    chance = random.Random(7)
    for start in range(0, INSTANCES, CHUNK):
        await store.instances.add([_instance(n) for n in range(start, start + CHUNK)])
    await _together(store.commands.add(_kept(n), quota=COMMANDS) for n in range(COMMANDS))
    await _large(store)
    await _together(_one(store, n, count, chance) for n in range(count))


async def _together(work: Iterable[Awaitable[object]]) -> None:
    waiting = iter(work)

    async def worker() -> None:
        for one in waiting:
            await one

    await asyncio.gather(*[worker() for _ in range(AT_ONCE)])


def _instance(number: int) -> Instance:
    return Instance(
        id=InstanceId(f"i-{number}"),
        host="10.0.0.1",
        name=f"host {number}",
        tags={"env": ("prod", "test", "dev")[number % 3]},
    )


def _kept(number: int) -> Command:
    return Command(
        id=CommandId(f"k-{number}"),
        name=f"kept {number}",
        description=f"does a thing of kind {number % 90}",
        type=CommandType.SHELL if number % 10 else CommandType.POWERSHELL,
        content=CONTENT,
        tags={"env": ("prod", "test")[number % 2]},
        created_ms=1_000 + number,
    )


async def _large(store: Store) -> None:
    command = Command(id=CommandId("c-large"), name="", type=CommandType.SHELL, content=CONTENT, kept=False)
    spec = InvocationSpec(id=LARGE, command=command, timeout_s=60, created_ms=900_000)
    members = [InstanceId(f"i-{number}") for number in range(INSTANCES)]
    await _open(store, spec, members)
    for start in range(0, INSTANCES, CHUNK):
        await _end(store, spec, members[start : start + CHUNK][: CHUNK - 3], RunStatus.SUCCESS)
        rest = RunStatus.TIMEOUT if start + CHUNK == INSTANCES else RunStatus.SUCCESS
        await _end(store, spec, members[start : start + CHUNK][CHUNK - 3 :], rest)


async def _one(store: Store, number: int, count: int, chance: random.Random) -> None:
    """19 of 20 have one member, the others 10, one in 1,000 has 200. The last hundredth is still open."""
    spec = _spec(number, chance)
    size = 200 if number % 1_000 == 0 else 10 if number % 20 == 0 else 1
    first = 0 if number % 2 else chance.randrange(1, INSTANCES)
    members = [InstanceId(f"i-{(first + at) % INSTANCES}") for at in range(size)]
    if size > 1:
        members[0] = BUSY
    members = list(dict.fromkeys(members))
    await _open(store, spec, members)
    if number < count * 99 // 100:
        half = len(members) // 2
        for part in (members[:half], members[half:]):
            if part:
                await _end(store, spec, part, chance.choices(ENDS, (80, 10, 6, 4))[0])


def _spec(number: int, chance: random.Random) -> InvocationSpec:
    kind = number % 500
    command = Command(
        id=CommandId(f"c-{kind}"),
        name=f"task {kind} of {chance.randrange(20)}" if kind % 10 else "",
        type=CommandType.POWERSHELL if kind % 10 == 1 else CommandType.SHELL,
        content=CONTENT,
        kept=False,
    )
    spec = InvocationSpec(
        id=InvokeId(f"t-{number}"),
        command=command,
        timeout_s=60,
        tags={"env": chance.choice(("prod", "test", "dev")), "team": f"team-{number % 20}"},
        resource_group=f"rg-{number % 4}",
        created_ms=1_000_000 + number,
    )
    if number % 20 != 7:
        return spec
    file = FileSpec(name=f"file {number % 100}", content=CONTENT, target_dir="/srv")
    return replace(spec, id=InvokeId(f"f-{number}"), file=file)


async def _open(store: Store, spec: InvocationSpec, members: list[InstanceId]) -> None:
    opening = Opening(
        spec=spec, members=members, day="2026-01-01", daily_quota=10_000_000, kept_command=False
    )
    await store.invocations.open(opening, now_ms=spec.created_ms)


async def _end(store: Store, spec: InvocationSpec, members: list[InstanceId], status: RunStatus) -> None:
    await store.invocations.abort_unclaimed(
        spec.id, members, outcome=Outcome(status=status), now_ms=spec.created_ms
    )
