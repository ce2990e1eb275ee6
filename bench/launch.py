"""What our launch adds to a plain command over a warm connection, and what connecting costs.

Run by `make bench`, or alone: `python -m bench.launch`. A real sshd on loopback; a plain exec of `true` and
our launch of `true` (from the request to its result) take turns, so that whatever else the machine does
hits both. CPU is this process's own: the client's.
"""

import asyncio
import functools
import json
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cloudassist_tasks.domain.instance import HostFacts, SshEngine
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.ports.transport import Ended, Host, Payload
from cloudassist_tasks.transports.choose import Transports
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.link import Link, Purpose
from cloudassist_tasks.transports.ssh.connections import KeptConnections
from tests.support.sshd import Sshd, private_sshd

__all__ = ["measure"]

ROUNDS = 150
CONNECTS = 60
TARGET_ADDED_MS = 20.0

TRUE = Payload(script=Secret(b"true\n"), timeout_s=60, head_bytes=6144, tail_bytes=18432)


def measure(rounds: int = ROUNDS, connects: int = CONNECTS) -> dict[str, Any]:
    """Figures of both engines, in ms; `added_ms` is the difference of the medians of launch and exec."""
    return asyncio.run(_measure(rounds, connects))


async def _measure(rounds: int, connects: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"rounds": rounds, "connects": connects, "target_added_ms": TARGET_ADDED_MS}
    with private_sshd() as server:
        for engine in SshEngine:
            figures[engine.value] = await _one_engine(server, engine, rounds, connects)
    return figures


async def _one_engine(server: Sshd, engine: SshEngine, rounds: int, connects: int) -> dict[str, Any]:
    limits = ConnectLimits()
    transports, bare = Transports(engine=engine, limits=limits), KeptConnections(limits, engine)
    instance = server.instance("i-bench", "127.0.8.1")
    plain, ours = _Timer(), _Timer()
    async with transports.reach(instance, facts=None) as reached, bare.hold(instance, ()) as link:
        for number in range(-10, rounds):  # the first ten warm up
            if number == 0:
                plain, ours = _Timer(), _Timer()
            await plain.time(functools.partial(_plain, link))
            run_id = f"t-{engine.value}{number + 10}.i-bench.0"
            await ours.time(functools.partial(_launched, reached.host, run_id))
        facts = reached.facts
    await bare.close()
    await transports.close()
    cold = await _cold(server, engine, connects, facts)
    return {
        "plain_exec": plain.figures(),
        "launch": ours.figures(),
        "added_ms": round(ours.median - plain.median, 2),
        "cold_connect_and_launch": cold.figures(),
    }


async def _plain(link: Link) -> None:
    channel = await link.open("true", Purpose.CONTROL)
    while await channel.read(4096):
        pass
    assert await channel.exit_status() == 0
    channel.close()


async def _launched(host: Host, run_id: str) -> None:
    attachment = await host.launch(run_id, user="")
    await attachment.begin(TRUE)
    async for event in attachment.events():
        if isinstance(event, Ended):
            assert event.result.exit_code == 0
    await attachment.acknowledge()
    await attachment.close()


async def _cold(server: Sshd, engine: SshEngine, connects: int, facts: HostFacts) -> "_Timer":
    transports = Transports(engine=engine)
    timer = _Timer()

    async def one(number: int) -> None:
        instance = server.instance(f"i-{number}", f"127.0.8.{number}")
        async with transports.reach(instance, facts=facts) as reached:
            await _launched(reached.host, f"t-cold{engine.value}.{instance.id}.0")

    for number in range(2, connects + 2):
        await timer.time(functools.partial(one, number))
    await transports.close()
    return timer


class _Timer:
    """Wall time and CPU of what it is given to await."""

    def __init__(self) -> None:
        self._wall: list[float] = []
        self._cpu: list[float] = []

    async def time(self, call: Callable[[], Awaitable[None]]) -> None:
        wall, cpu = time.perf_counter(), _cpu_s()
        await call()
        self._wall.append((time.perf_counter() - wall) * 1000)
        self._cpu.append((_cpu_s() - cpu) * 1000)

    @property
    def median(self) -> float:
        return statistics.median(self._wall)

    def figures(self) -> dict[str, float]:
        return {
            "median_ms": round(self.median, 2),
            "p90_ms": round(statistics.quantiles(self._wall, n=10)[-1], 2),
            "client_cpu_ms": round(statistics.fmean(self._cpu), 2),
        }


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
