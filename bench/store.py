"""What the store costs: the steps of a run, opening, describing, stopping, at both speeds of `appendfsync`.

Part of `make bench`. A private Valkey on a unix socket; client and server share the machine. Times are
per unit, medians of several rounds; `cpu` is the client's, `server` the server's.

    python -m bench.store [--rounds N] [--json]
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.invocations import Opening
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.valkey import ValkeyServer, private_valkey

RUNS = 1_000
AT_ONCE = 100
"""How many runs are carried through at the same time."""

WORKER = WorkerId("w-1")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one unit of work, in µs."""

    wall_us: float
    cpu_us: float
    server_us: float


def measure(rounds: int = 3) -> dict[str, object]:
    """Figures by policy and subject. `round_trips_per_run` is exact."""
    figures: dict[str, object] = {}
    for policy in ("always", "everysec"):
        with private_valkey(on_disk=True) as server:
            figures[policy] = asyncio.run(_measure_policy(server, policy, rounds))
    return figures


async def _measure_policy(server: ValkeyServer, policy: str, rounds: int) -> dict[str, object]:
    store = await RedisStore.open(server.url())
    await store.link.call("CONFIG", "SET", "appendfsync", policy)
    await store.instances.add([_instance(n) for n in range(10_000)])
    numbers = iter(range(10_000))
    figures: dict[str, list[Cost]] = {}
    round_trips = 0.0
    for _ in range(rounds):
        keys = await _open(store, next(numbers), RUNS)
        before = store.link.round_trips
        cost = await _cost(store, RUNS, lambda keys=keys: _carry_out(store, keys))  # type: ignore[misc]
        figures.setdefault("claim_commit_finish", []).append(cost)
        round_trips = (store.link.round_trips - before) / RUNS
        [one] = await _open(store, next(numbers), 1)
        cost = await _cost(store, 1, lambda one=one: _run(store, one))  # type: ignore[misc]
        figures.setdefault("claim_commit_finish_alone", []).append(cost)
        for size in (1, 1_000, 10_000):
            number = next(numbers)
            cost = await _cost(store, 1, lambda n=number, s=size: _open(store, n, s))  # type: ignore[misc]
            figures.setdefault(f"open_{size}", []).append(cost)
        for size in (10, 10_000):
            keys = await _open(store, next(numbers), size)
            await _carry_out(store, keys[:1_000])
            cost = await _cost(store, 1, lambda k=keys: _describe(store, k[:50]))  # type: ignore[misc]
            figures.setdefault(f"describe_page_of_{size}", []).append(cost)
            cost = await _cost(store, 1, lambda k=keys: _describe(store, k))  # type: ignore[misc]
            figures.setdefault(f"describe_all_{size}", []).append(cost)
        cost = await _cost(store, 1, lambda k=keys: _stop(store, k))  # type: ignore[misc]
        figures.setdefault("stop_10000", []).append(cost)
    await store.close()
    return {"round_trips_per_run": round_trips} | {
        subject: {
            "wall_us": round(statistics.median(cost.wall_us for cost in costs), 1),
            "cpu_us": round(statistics.median(cost.cpu_us for cost in costs), 1),
            "server_us": round(statistics.median(cost.server_us for cost in costs), 1),
        }
        for subject, costs in figures.items()
    }


async def _cost(store: RedisStore, units: int, work: Callable[[], Awaitable[object]]) -> Cost:
    server_before = await _server_cpu_s(store)
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    server_s = await _server_cpu_s(store) - server_before
    return Cost(*(seconds / units * 1e6 for seconds in (wall_s, cpu_s, server_s)))


async def _server_cpu_s(store: RedisStore) -> float:
    info = await store.link.call("INFO", "cpu")
    facts = dict(line.split(":") for line in info.decode().splitlines() if ":" in line)
    return float(facts["used_cpu_sys"]) + float(facts["used_cpu_user"])


def _instance(number: int) -> Instance:
    return Instance(id=InstanceId(f"i-{number:05}"), host="10.0.0.1", tags={"role": "web"})


async def _open(store: RedisStore, number: int, size: int) -> list[RunKey]:
    command = Command(
        id=CommandId(f"c-{number}"),
        name="",
        type=CommandType.SHELL,
        content=Secret(b"echo ok\n" * 20),
        kept=False,
    )
    spec = InvocationSpec(id=InvokeId(f"t-{number:032}"), command=command, timeout_s=60, created_ms=_now_ms())
    members = [InstanceId(f"i-{n:05}") for n in range(size)]
    await store.invocations.open(
        Opening(spec=spec, members=members, day="2026-01-01", daily_quota=100_000, kept_command=False),
        now_ms=_now_ms(),
    )
    return [RunKey(spec.id, member) for member in members]


async def _carry_out(store: RedisStore, keys: list[RunKey]) -> None:
    waiting = iter(keys)

    async def worker() -> None:
        for key in waiting:
            await _run(store, key)

    await asyncio.gather(*[worker() for _ in range(AT_ONCE)])


async def _run(store: RedisStore, key: RunKey) -> None:
    claim = await store.runs.claim(key, worker=WORKER, now_ms=_now_ms(), at_once=10, may_wait=50)
    assert claim.held is not None
    await store.runs.commit_launching(
        claim.held, boot_id="0f9c", deadline_ms=_now_ms() + 120_000, now_ms=_now_ms()
    )
    finished = await store.runs.finish(
        claim.held,
        Outcome(status=RunStatus.SUCCESS, exit_code=0),
        output=BoundedOutput(head=b"ok\n", total=3),
        start_ms=_now_ms(),
        finish_ms=_now_ms(),
        now_ms=_now_ms(),
    )
    assert finished.moved.done


async def _describe(store: RedisStore, keys: list[RunKey]) -> None:
    invocation = await store.invocations.get(keys[0].invoke_id)
    assert invocation is not None
    runs = await store.runs.get_many(keys[0].invoke_id, [key.instance_id for key in keys])
    outputs = await store.runs.output(keys)
    assert len(runs) == len(outputs) == len(keys)


async def _stop(store: RedisStore, keys: list[RunKey]) -> None:
    invoke_id = keys[0].invoke_id
    await store.invocations.mark_stop(invoke_id, now_ms=_now_ms())
    for start in range(0, len(keys), 1_000):
        ids = [key.instance_id for key in keys[start : start + 1_000]]
        await store.invocations.stop_runs(
            invoke_id, ids, round=0, now_ms=_now_ms(), deadline_ms=_now_ms() + 60_000
        )


def _now_ms() -> int:
    return int(time.time() * 1_000)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What the store costs.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for policy, subjects in figures.items():
        assert isinstance(subjects, dict)
        print(f"appendfsync {policy}: {subjects.pop('round_trips_per_run'):.0f} round trips per run")
        for subject, cost in subjects.items():
            print(
                f"  {subject:28} {cost['wall_us']:>12,.0f} µs   client CPU {cost['cpu_us']:>12,.0f}"
                f"   server CPU {cost['server_us']:>12,.0f}"
            )


if __name__ == "__main__":
    main()
