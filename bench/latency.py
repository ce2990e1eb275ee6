"""How long until the first byte of a script runs on its host, for an invocation of one instance.

The script's first act is to print the time; client and host share a clock, being one machine. On an idle
plane: warm (a kept connection) and cold (none). Then the same beside an invocation of many instances, which
it must not wait for.
"""

import asyncio
import time
from collections.abc import Sequence

from bench.figures import summary
from bench.installation import Installation, installation, instances_on
from cloudassist_tasks.domain.instance import Instance
from tests.support.sshd import private_sshd

__all__ = ["measure"]

SCRIPT = "date +%s.%N\n"
TARGETS_MS = {"warm": "60 / 150", "cold": "150 / 400", "beside others": "< 1,000"}
"""Median and 99th percentile of the first byte."""


def measure(*, quick: bool = False) -> dict[str, object]:
    """Milliseconds from the call to the first byte on the host, and to the close."""
    probes, others = (30, 200) if quick else (100, 1_000)
    return asyncio.run(_measure(probes, others))


async def _measure(probes: int, others: int) -> dict[str, object]:
    with private_sshd() as sshd:
        async with installation() as home:
            instances = instances_on(sshd, others + 1)
            await home.add(instances)
            probed, crowd = instances[0], instances[1:]
            async with home.worker():
                await home.closed(await home.run("true\n", instances), within_s=240)  # installs the helper
            async with home.worker():
                await _probe(home, crowd[-1])  # the process has loaded everything
                cold = [await _probe(home, instance) for instance in crowd[:probes]]
                warm = [await _probe(home, crowd[0]) for _ in range(probes)]
                beside = await _beside(home, crowd, probed)
    kinds = {"idle, cold": cold, "idle, warm": warm, f"while {others:,} others run": beside}
    return {
        "name": "latency",
        "kinds": {kind: summary(samples, tail=True) for kind, samples in kinds.items()},
        "target_first_byte_ms": TARGETS_MS,
    }


async def _beside(home: Installation, crowd: Sequence[Instance], probed: Instance) -> list[dict[str, float]]:
    """Probes one after the other, for as long as the large invocation has open runs."""
    large = await home.run("echo ok\n", crowd)
    samples = []
    while not (await large.state()).closed:
        samples.append(await _probe(home, probed))
    return samples


async def _probe(home: Installation, instance: Instance) -> dict[str, float]:
    called, since_ms = time.time(), home.plane.clock.now_ms()
    invocation = await home.run(SCRIPT, [instance])
    returned = time.time()
    await home.closed(invocation, within_s=60)
    first_byte = float(await invocation.output(instance.id))
    return {
        "first_byte_ms": 1_000 * (first_byte - called),
        "closed_ms": await home.took_ms(invocation, since_ms),
        "call_ms": 1_000 * (returned - called),
    }
