"""What a page of a listing costs the store, with 100,000 invocations kept: every filter, alone and combined.

Part of `make bench`. A private Valkey on a unix socket. Times are the CPU of server (network included) and
client per page, in ms; `fit` is how many invocations or runs the filter leaves.

    python -m bench --only listing
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bench.figures import summary
from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.rollup import invocation_status
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import InvocationStatus, RunStatus
from cloudassist_tasks.ports.listing import CommandFilter, InvocationFilter, StatesTest
from cloudassist_tasks.ports.store import Opening
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.valkey import private_valkey

__all__ = ["measure"]

TARGET_MS = 20

PAGE = 50
AT_ONCE = 200
INSTANCES = 500
BUSY = InstanceId("i-0000")
"""A member of half of all invocations."""

Ask = Callable[[], Awaitable[int]]
"""A page is asked for; how many fit, where it was counted."""


def measure(invocations: int = 100_000, rounds: int = 5) -> dict[str, Any]:
    """Figures by filter and style of page."""
    with private_valkey() as server:
        return asyncio.run(_measure(server.url(), invocations, rounds))


async def _measure(url: str, invocations: int, rounds: int) -> dict[str, Any]:
    store = await RedisStore.open(url)
    began = time.perf_counter()
    await _fill(store, invocations)
    filled_s = time.perf_counter() - began
    kinds = {kind: await _cost(store, ask, rounds) for kind, ask in _questions(store).items()}
    memory = (await store.link.call("INFO", "memory")).decode()
    marks = await _bytes_of_marks(store)
    await store.close()
    slowest = max(kinds, key=lambda kind: float(kinds[kind]["server_ms_max"]))
    return {
        "tables": [{"title": f"listing: a page of {PAGE} among {invocations:,} invocations", "kinds": kinds}],
        "notes": [
            f"opened and ended in {filled_s:,.0f} s; the store holds {_mb(memory)} MB, of which the marks and"
            f" names take {marks / 1e6:,.1f} MB",
        ],
        f"target_server_ms_under_{TARGET_MS}": f"slowest {kinds[slowest]['server_ms_max']} ms ({slowest})",
        "marks_bytes": marks,
    }


# -- what is kept


async def _fill(store: RedisStore, count: int) -> None:
    chance = random.Random(7)
    numbers = iter(range(count))

    async def opener() -> None:
        for number in numbers:
            await _open(store, number, count, chance)

    await asyncio.gather(*[opener() for _ in range(AT_ONCE)])


async def _open(store: RedisStore, number: int, count: int, chance: random.Random) -> None:
    """19 of 20 have one member, the others 10, one in 1,000 has 200. The last hundredth is still open."""
    kind = number % 500
    command = Command(
        id=CommandId(f"c-{kind}"),
        name=f"task {kind} of {chance.randrange(20)}" if kind % 10 else "",
        type=CommandType.SHELL if kind % 10 != 1 else CommandType.POWERSHELL,
        content=Secret(b"echo ok"),
        kept=False,
    )
    spec = InvocationSpec(
        id=InvokeId(f"t-{number:08}"),
        command=command,
        timeout_s=60,
        tags={"env": chance.choice(("prod", "test", "dev")), "team": f"team-{number % 20}"},
        resource_group=f"rg-{number % 4}",
        created_ms=1_000_000 + number,
    )
    size = 200 if number % 1_000 == 0 else 10 if number % 20 == 0 else 1
    first = 0 if number % 2 else chance.randrange(1, INSTANCES)
    members = [InstanceId(f"i-{(first + at) % INSTANCES:04}") for at in range(size)]
    if size > 1:
        members[0] = BUSY
    await store.invocations.open(
        Opening(
            spec=spec,
            members=list(dict.fromkeys(members)),
            day="2026-01-01",
            daily_quota=count,
            kept_command=False,
        ),
        now_ms=spec.created_ms,
    )
    if number < count * 99 // 100:
        half = len(members) // 2
        for part in (members[:half], members[half:]):
            status = chance.choices(
                (RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.TIMEOUT, RunStatus.CANCELLED), (80, 10, 6, 4)
            )[0]
            if part:
                await store.invocations.abort_unclaimed(
                    spec.id, part, outcome=Outcome(status=status), now_ms=spec.created_ms
                )


# -- what is asked


def _questions(store: RedisStore) -> Mapping[str, Ask]:
    filters = {
        "all": InvocationFilter(),
        "command": InvocationFilter(command_id=CommandId("c-7")),
        "type, nearly all": InvocationFilter(command_type="RunShellScript"),
        "name": InvocationFilter(name="task 7 of 3"),
        "name *k 7*": InvocationFilter(name="*k 7*"),
        "busy instance": InvocationFilter(instance_id=BUSY),
        "status Success": InvocationFilter(states=_status(InvocationStatus.SUCCESS)),
        "status PartialFailed": InvocationFilter(states=_status(InvocationStatus.PARTIAL_FAILED)),
        "status Pending": InvocationFilter(states=_status(InvocationStatus.PENDING)),
        "not timed": InvocationFilter(timed=False),
        "tag": InvocationFilter(tags={"env": "prod"}),
        "group": InvocationFilter(resource_group="rg-1"),
        "busy instance, its run Failed": InvocationFilter(
            instance_id=BUSY, run_statuses=frozenset({RunStatus.FAILED})
        ),
        "type, tag, status, group, name": InvocationFilter(
            command_type="RunShellScript",
            tags={"env": "prod", "team": None},
            states=_status(InvocationStatus.SUCCESS),
            resource_group="rg-1",
            name="task*",
        ),
        "nothing fits": InvocationFilter(command_id=CommandId("c-0"), resource_group="rg-1"),
    }
    asks: dict[str, Ask] = {}
    for kind, wanted in filters.items():
        asks[f"{kind}; first"] = lambda wanted=wanted: _page(store, wanted)  # type: ignore[misc]
        asks[f"{kind}; middle, counted"] = lambda wanted=wanted: _counted(store, wanted)  # type: ignore[misc]
    for kind, statuses in (("all", frozenset(RunStatus)), ("Failed", frozenset({RunStatus.FAILED}))):
        wanted = InvocationFilter(run_statuses=statuses, tags={"env": "prod"})
        asks[f"runs, {kind}, by number, counted"] = lambda wanted=wanted: _runs(store, wanted)  # type: ignore[misc]
    asks["commands, by type and name"] = lambda: _commands(store)
    return asks


def _status(wanted: InvocationStatus) -> StatesTest:
    return lambda present: invocation_status(dict.fromkeys(present, 1)) == wanted


async def _page(store: RedisStore, wanted: InvocationFilter) -> int:
    return len((await store.invocations.page(wanted, limit=PAGE)).items)


async def _counted(store: RedisStore, wanted: InvocationFilter) -> int:
    return (await store.invocations.page(wanted, limit=PAGE, skip=500, count=True)).total


async def _runs(store: RedisStore, wanted: InvocationFilter) -> int:
    return (await store.invocations.run_place(wanted, skip=1_000)).total


async def _commands(store: RedisStore) -> int:
    return (await store.commands.page(CommandFilter(name="*a*"), limit=PAGE, count=True)).total


# -- what it costs


async def _cost(store: RedisStore, ask: Ask, rounds: int) -> dict[str, Any]:
    samples: list[Mapping[str, float]] = []
    fit, trips = 0, store.link.round_trips
    for _ in range(rounds):
        server, client = await _server_cpu_s(store), time.process_time()
        fit = await ask()
        client = time.process_time() - client
        server = await _server_cpu_s(store) - server
        samples.append({"server_ms": server * 1_000, "client_ms": client * 1_000})
    figures: dict[str, Any] = {"fit": fit, "round_trips": (store.link.round_trips - trips) // rounds - 2}
    return figures | summary(samples)


async def _server_cpu_s(store: RedisStore) -> float:
    lines = (await store.link.call("INFO", "cpu")).decode().splitlines()
    facts = dict(line.split(":") for line in lines if ":" in line)
    return float(facts["used_cpu_sys"]) + float(facts["used_cpu_user"])


async def _bytes_of_marks(store: RedisStore) -> int:
    names: Sequence[bytes] = [
        *await store.link.call("KEYS", "ca:by:*"),
        *await store.link.call("KEYS", "ca:invocations:names:*"),
    ]
    return sum(await store.link.batch([("MEMORY", "USAGE", name) for name in names]))


def _mb(memory: str) -> str:
    facts = dict(line.split(":", 1) for line in memory.splitlines() if ":" in line)
    return f"{int(facts['used_memory']) / 1e6:,.0f}"
