"""What a call over HTTP costs the endpoint's process: describes, alone and beside a running fleet.

The endpoint is `cloudassist serve` as a user has it; the caller is our client, several calls at a time, which
shares the machine. CPU is the endpoint's alone: at 20 ms per call one core answers 50 calls a second.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.figures import summary
from bench.installation import Installation, installation, instances_on
from bench.usage import cpu_s, rss_mib
from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.client.invocation import AsyncInvocation
from cloudassist_tasks.config import environment_of
from cloudassist_tasks.contract.invocations import DescribeInvocationResults, DescribeInvocations
from cloudassist_tasks.contract.keys import CreateAccessKey
from cloudassist_tasks.contract.operation import Operation
from tests.support.eventually import eventually_async
from tests.support.sshd import private_sshd

__all__ = ["measure"]

AT_ONCE = 8
TARGET_CALLS_PER_S = 50
"""On one core, beside a running fleet."""


def measure(*, quick: bool = False) -> dict[str, object]:
    """Calls a second, and CPU of the endpoint per call, by what is asked."""
    calls, fleet = (300, 50) if quick else (1_500, 200)
    return asyncio.run(_measure(calls, fleet))


async def _measure(calls: int, fleet: int) -> dict[str, object]:
    with private_sshd() as sshd:
        async with installation() as home, home.worker(), _served(home) as (client, pid):
            instances = instances_on(sshd, fleet)
            await home.add(instances)
            done = await home.run("echo ok\n", instances)
            await home.closed(done, within_s=240)
            kinds = {kind: await _rounds(client, pid, asked, calls) for kind, asked in _asked(done).items()}
            busy = asyncio.create_task(_keep_running(home, lambda: home.run("sleep 1\n", instances)))
            for kind, asked in _asked(done).items():
                kinds[f"{kind}, beside a fleet"] = await _rounds(client, pid, asked, calls)
            busy.cancel()
            await asyncio.wait([busy])
            resident_mib = round(rss_mib(pid))
    return {
        "name": "endpoint",
        "kinds": {kind: summary(samples) for kind, samples in kinds.items()},
        "rss_mib": resident_mib,
        "target_calls_per_s": TARGET_CALLS_PER_S,
    }


def _asked(done: AsyncInvocation) -> dict[str, Operation[Any]]:
    """A page as users ask for it: 10 results with outputs, and an invocation with 50 instances."""
    return {
        "a page of 10 results": DescribeInvocationResults(invoke_id=done.id),
        "an invocation with its instances": DescribeInvocations(invoke_id=done.id, include_output=True),
        "the newest 10 invocations": DescribeInvocations(),
    }


async def _rounds(client: AsyncClient, pid: int, asked: Operation[Any], calls: int) -> list[dict[str, float]]:
    """Five rounds of `calls / 5`, several at a time."""
    return [await _round(client, pid, asked, calls // 5) for _ in range(5)]


async def _round(client: AsyncClient, pid: int, asked: Operation[Any], calls: int) -> dict[str, float]:
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await client.send(asked)

    begin, cpu = time.perf_counter(), cpu_s(pid)
    await asyncio.gather(*[caller() for _ in range(AT_ONCE)])
    took_s, used_s = time.perf_counter() - begin, cpu_s(pid) - cpu
    return {
        "calls_per_s": calls / took_s,
        "cpu_ms_per_call": 1_000 * used_s / calls,
        "calls_per_s_of_cpu": calls / used_s,
    }


async def _keep_running(home: Installation, run: Callable[[], Awaitable[AsyncInvocation]]) -> None:
    """One invocation after the other, until cancelled."""
    while True:
        await home.closed(await run(), within_s=240)


@asynccontextmanager
async def _served(home: Installation) -> AsyncIterator[tuple[AsyncClient, int]]:
    """A client of a fresh endpoint, and that one's process."""
    key = await home.client.send(CreateAccessKey(role="admin"))
    process, log = _started(home)

    async def listens() -> Sequence[str]:
        if process.poll() is not None:
            raise RuntimeError(f"the endpoint has ended:\n{log.read_text()[-4000:]}")
        return log.read_text().partition("listening on ")[2].split()[:1]

    try:
        await eventually_async(listens, within=30)
        (url,) = await listens()
        async with AsyncClient(url, (key.access_key_id, key.access_key_secret)) as client:
            yield client, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


def _started(home: Installation) -> tuple[subprocess.Popen[bytes], Path]:
    """The endpoint's process and its log."""
    log = home.settings.data_dir / "serve.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "cloudassist_tasks.cli", "serve", "--port", "0"]
        environment = {**os.environ, **environment_of(home.settings)}
        return subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT), log
