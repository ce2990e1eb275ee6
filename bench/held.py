"""Thousands of commands that run at the same time, held by one worker process; then all of them stopped.

Every run is a `sleep` under the helper, on an instance with an address and a connection of its own. What is
measured is the controller: memory, threads and CPU of the worker while nothing happens. What one run takes
on the hosts' side is told too, since here they are on the same machine and decide how many fit.

They are stopped in the mode Process. ProcessTree has each host look through its own processes; here every
"host" would look through those of all the others, which says nothing of thousands of real ones.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import usage
from bench.installation import Installation, WorkerProcess, installation, instances_on
from cloudassist_tasks.client.invocation import AsyncInvocation
from cloudassist_tasks.domain.instance import Instance
from tests.support.processes import room_for_processes
from tests.support.sshd import private_sshd

__all__ = ["measure"]

HELD = 3_000
QUICK_HELD = 200
PILOT = 100
"""So many are held first, to see what one takes on the hosts' side."""
SLEEP_S = 900
"""Longer than it takes to start all of them on two cores."""
PATIENCE_S = 600
"""For starting all, and for stopping all. Also how long a delivery may take: with every host on two cores the
last ones wait for minutes."""
IDLE_S = 15.0
MEMORY_TO_LEAVE_MIB = 2_048
TARGET = {"rss_mib": 220, "idle_cpu_percent": 2}
"""For 3,000, at most."""

PROCESS_IDS = 131_072
"""A held run takes a dozen of them on its host; the kernel's default of small machines is 32,768."""

AMISS = ("Failed", "Error", "Aborted", "Invalid", "Timeout")
"""States that no run may come to here."""

_PID_MAX = Path("/proc/sys/kernel/pid_max")


def measure(*, quick: bool = False) -> dict[str, object]:
    """The worker while it holds them, and how long the stop of all took."""
    return asyncio.run(_measure(QUICK_HELD if quick else HELD))


async def _measure(wanted: int) -> dict[str, object]:
    notes = []
    with private_sshd() as sshd, room_for_processes(PROCESS_IDS):
        async with installation(delivery_timeout_s=PATIENCE_S) as home:
            instances = instances_on(sshd, wanted)
            await home.add(instances)
            async with home.worker() as worker:
                pilot, host_mib, host_processes = await _pilot(home, worker, instances[:PILOT])
            number = _that_fit(wanted, host_mib, host_processes)
            if number < wanted:
                notes.append(f"{number:,} in place of {wanted:,}: more do not fit beside their hosts")
            async with home.worker() as worker:
                kinds = {
                    f"{PILOT} held": pilot,
                    f"{number:,} held": await _hold(home, worker, instances[:number]),
                }
    notes.append(
        f"on the hosts' side a held run takes {host_mib:.1f} MiB and {host_processes:.1f} processes"
        " (sshd, shell, helper, sleep)"
    )
    return {"name": "held", "kinds": kinds, "notes": notes, "target": TARGET}


async def _pilot(
    home: Installation, worker: WorkerProcess, instances: Sequence[Instance]
) -> tuple[dict[str, float], float, float]:
    """Hold a few; the figures, and memory and processes that one run takes on the hosts' side."""
    available_mib, processes = usage.memory_available_mib(), _processes()
    seen: dict[str, float] = {}

    def look() -> None:
        seen["mib"] = (available_mib - usage.memory_available_mib()) / len(instances)
        seen["processes"] = (_processes() - processes) / len(instances)

    figures = await _hold(home, worker, instances, look=look)
    return figures, seen["mib"], seen["processes"]


async def _hold(
    home: Installation,
    worker: WorkerProcess,
    instances: Sequence[Instance],
    look: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    number = len(instances)
    empty_mib = usage.rss_mib(worker.pid)
    cpu_before_s, begin = usage.cpu_s(worker.pid), time.monotonic()
    invocation = await home.run(
        f"exec sleep {SLEEP_S}\n", instances, timeout_s=2 * SLEEP_S, termination_mode="Process"
    )
    await _counted(invocation, "Running", number, within_s=PATIENCE_S)
    started_s, started_cpu_s = time.monotonic() - begin, usage.cpu_s(worker.pid) - cpu_before_s
    look()
    idle_before_s, store_before_s, begin = (
        usage.cpu_s(worker.pid),
        usage.cpu_s(home.store_pid),
        time.monotonic(),
    )
    await asyncio.sleep(IDLE_S)
    idle_s = time.monotonic() - begin
    figures = {
        "all_running_s": started_s,
        "start_cpu_ms_per_run": 1_000 * started_cpu_s / number,
        "rss_mib": usage.rss_mib(worker.pid),
        "kib_per_run": 1_024 * (usage.rss_mib(worker.pid) - empty_mib) / number,
        "threads": usage.threads(worker.pid),
        "idle_cpu_percent": 100 * (usage.cpu_s(worker.pid) - idle_before_s) / idle_s,
        "store_idle_cpu_percent": 100 * (usage.cpu_s(home.store_pid) - store_before_s) / idle_s,
    }
    return figures | await _stop(worker, invocation, number)


async def _stop(worker: WorkerProcess, invocation: AsyncInvocation, number: int) -> dict[str, float]:
    cpu_before_s, begin = usage.cpu_s(worker.pid), time.monotonic()
    await invocation.stop()
    asked_s = time.monotonic() - begin
    await _counted(invocation, "Terminated", number, within_s=PATIENCE_S)
    return {
        "stop_call_s": asked_s,
        "all_terminated_s": time.monotonic() - begin,
        "stop_cpu_ms_per_run": 1_000 * (usage.cpu_s(worker.pid) - cpu_before_s) / number,
    }


async def _counted(invocation: AsyncInvocation, status: str, number: int, *, within_s: float) -> None:
    """Until so many runs are in the state; any that fails ends the wait."""
    deadline = time.monotonic() + within_s
    while (counts := await invocation.counts).get(status, 0) < number:
        if time.monotonic() > deadline or any(counts.get(word) for word in AMISS):
            raise RuntimeError(f"{status} was to be {number}: {dict(counts)}")
        await asyncio.sleep(0.2)


def _that_fit(wanted: int, host_mib: float, host_processes: float) -> int:
    """How many of them this machine can be the hosts of."""
    by_memory = (usage.memory_available_mib() - MEMORY_TO_LEAVE_MIB) / max(host_mib, 0.1)
    by_processes = (int(_PID_MAX.read_text()) * 0.95 - _processes()) / max(host_processes, 1)
    return min(wanted, int(by_memory), int(by_processes))


def _processes() -> int:
    """Processes and threads of this machine: each has an id."""
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
