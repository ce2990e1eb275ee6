"""Many seeds, one after the other or in several processes, each with a server of its own."""

import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.simulation.server import Servers
from tests.simulation.world import Report, drawn, large, simulate

SEEDS_AT_ONCE = 10
"""Per process: then a fresh one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    seeds: Sequence[int]
    instances: int | None = None
    """Machines; None: drawn from each seed."""
    large: int | None = None
    """One invocation of so many members, in place of a small storm."""


def reports(whole: Batch, *, jobs: int) -> Iterator[Report]:
    """In the order of the seeds. From several processes they come without their traces."""
    if jobs == 1:
        yield from _reports(whole)
        return
    seeds = whole.seeds
    batches = [
        Batch(seeds=seeds[at : at + SEEDS_AT_ONCE], instances=whole.instances, large=whole.large)
        for at in range(0, len(seeds), SEEDS_AT_ONCE)
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_leave_in_order, maxtasksperchild=1) as pool:
        for some in pool.imap(_without_traces, batches):
            yield from some


def _leave_in_order() -> None:
    """One that is interrupted ends its server, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def _reports(batch: Batch) -> Iterator[Report]:
    with Servers() as servers:
        for seed in batch.seeds:
            plan = large(seed, batch.large) if batch.large else drawn(seed, instances=batch.instances)
            yield simulate(plan, servers)


def _without_traces(batch: Batch) -> list[Report]:
    return [report.without_trace() for report in _reports(batch)]
