"""`echo ok` on many instances: cold and warm, beside `xargs -P50 ssh`, repetition by repetition.

Cold: a fresh worker process, no connection to anywhere; the hosts have the helper already. Warm: the next
invocation of the same worker, over the connections it has kept. The wall is from the call to the close,
by the store's clock. Client, worker, store and all of the hosts' sshd and helpers share this machine's
cores, so CPU per run says more than the wall does.
"""

import asyncio
import time
from collections.abc import Sequence

from bench import usage
from bench.figures import summary
from bench.installation import Installation, WorkerProcess, installation, instances_on
from bench.ssh_peer import KEY_EXCHANGES, xargs_ssh
from cloudassist_tasks.domain.instance import Instance
from tests.support.sshd import Sshd, private_sshd

__all__ = ["measure"]

SCRIPT = "echo ok\n"
CPU_TARGET_MS = {"cold": 6.0, "warm": 3.0}
"""CPU of worker and store per run, at most."""

REPETITIONS = {50: 5, 200: 3, 1_000: 2}
QUICK_REPETITIONS = {50: 2, 200: 2}
DEFAULT_KEX_INSTANCES = 200
"""With its default key exchange ssh takes a minute or two for 1,000, and per host the same as for 200: it is
measured once for each number up to this."""


def measure(*, quick: bool = False) -> dict[str, object]:
    """Tables by number of instances."""
    return asyncio.run(_measure(QUICK_REPETITIONS if quick else REPETITIONS))


async def _measure(repetitions: dict[int, int]) -> dict[str, object]:
    tables: list[dict[str, object]] = []
    with private_sshd() as sshd:
        async with installation() as home:
            instances = instances_on(sshd, max(repetitions))
            await home.add(instances)
            first = await _first_contact(home, instances)
            for number, times in repetitions.items():
                kinds = await _side_by_side(home, sshd, instances[:number], times)
                tables.append({"title": f"fanout: {number:,} instances", "kinds": kinds})
    tables.append({"title": "fanout: first contact ever (installs the helper)", "kinds": first})
    return {"name": "fanout", "tables": tables, "target_cpu_ms": CPU_TARGET_MS}


async def _first_contact(home: Installation, instances: Sequence[Instance]) -> dict[str, dict[str, float]]:
    async with home.worker() as worker:
        sample = await one_run(home, worker, instances)
    return {f"{len(instances):,} new instances": summary([sample])}


async def _side_by_side(
    home: Installation, sshd: Sshd, instances: Sequence[Instance], times: int
) -> dict[str, dict[str, float]]:
    samples: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    samples |= {f"xargs ssh, {key_exchange}": [] for key_exchange in KEY_EXCHANGES}
    for repetition in range(times):
        async with home.worker() as worker:
            samples["cold"].append(await one_run(home, worker, instances))
            for _ in range(2):
                samples["warm"].append(await one_run(home, worker, instances))
        for key_exchange in KEY_EXCHANGES:
            small = len(instances) <= DEFAULT_KEX_INSTANCES
            if key_exchange == "curve25519" or (small and repetition == 0):
                peer = await asyncio.to_thread(xargs_ssh, sshd, instances, key_exchange)
                samples[f"xargs ssh, {key_exchange}"].append(peer)
    return {kind: summary(of_kind) for kind, of_kind in samples.items() if of_kind}


async def one_run(
    home: Installation, worker: WorkerProcess, instances: Sequence[Instance]
) -> dict[str, float]:
    """One invocation, and what it took of everybody."""
    number, store = len(instances), home.store_pid
    worker_before_s, store_before_s = usage.cpu_s(worker.pid), usage.cpu_s(store)
    steps_before = await _scripts_called(home)
    caller_before_s, since_ms, begin = time.process_time(), home.plane.clock.now_ms(), time.perf_counter()
    invocation = await home.run(SCRIPT, instances)
    call_ms, caller_s = 1_000 * (time.perf_counter() - begin), time.process_time() - caller_before_s
    await home.closed(invocation, within_s=120)
    counts = await invocation.counts
    if counts.get("Success") != number:
        raise RuntimeError(f"not all of {number} runs succeeded: {dict(counts)}")
    worker_ms = 1_000 * (usage.cpu_s(worker.pid) - worker_before_s) / number
    store_ms = 1_000 * (usage.cpu_s(store) - store_before_s) / number
    return {
        "wall_s": await home.took_ms(invocation, since_ms) / 1_000,
        "cpu_ms_per_run": worker_ms + store_ms,
        "worker_ms": worker_ms,
        "store_ms": store_ms,
        "call_ms": call_ms,
        "caller_cpu_ms": 1_000 * caller_s / number,
        "store_steps": (await _scripts_called(home) - steps_before) / number,
        "worker_rss_mib": usage.rss_mib(worker.pid),
        "worker_threads": usage.threads(worker.pid),
    }


async def _scripts_called(home: Installation) -> int:
    """How many Lua steps the store has carried out so far: the round trips that change something."""
    return (await home.store_commands()).get("evalsha", 0)
