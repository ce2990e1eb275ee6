"""Run simulations from the command line: `python -m tests.simulation --seed 1 --seeds 1000 --jobs 2`.

Each seed with a fault is printed with what is wrong; `--trace i-7 storm` also prints the lines of the trace
that name one of these words, or all of them. `--large 100000` is one invocation of so many members.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.simulation.many import Batch, reports
from tests.simulation.world import Report

TELL_EVERY = 100
"""Seeds, of a long run."""


def main() -> int:
    options = _options()
    begun = time.monotonic()
    seeds = range(options.seed, options.seed + options.seeds)
    bad, starts, simulated_s = 0, 0, 0.0
    ended: Counter[str] = Counter()
    injected: Counter[str] = Counter()
    batch = Batch(seeds=seeds, instances=options.instances, large=options.large)
    for done, report in enumerate(reports(batch, jobs=options.jobs), 1):
        bad += bool(report.faults)
        starts += report.starts
        simulated_s += report.virtual_s
        ended.update(report.ended)
        injected.update(report.injected)
        if report.faults or options.large or options.seeds == 1:
            _show(report, options.trace)
        if done % TELL_EVERY == 0:
            print(f"… {done} seeds, {bad} with faults, {time.monotonic() - begun:.0f} s", flush=True)
    took_s = time.monotonic() - begun
    print(
        f"{len(seeds)} seeds in {took_s:.1f} s, {simulated_s / 3_600:.1f} simulated hours; {bad} with faults"
    )
    print(f"{starts} scripts started; runs: {_listed(ended)}")
    print(f"injected: {_listed(injected)}")
    return bool(bad)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--instances", type=int, help="machines; drawn from the seed if not given")
    parser.add_argument("--large", type=int, help="one invocation on so many machines instead")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--trace", nargs="*", help="print the lines that name one of these words")
    return parser.parse_args()


def _show(report: Report, words: Sequence[str] | None) -> None:
    print(f"seed {report.seed}: {report}")
    for fault in report.faults[:20]:
        print(f"  {fault}")
    if words is not None and report.trace is not None:
        for line in report.trace.about(*words):
            print(line)
    sys.stdout.flush()


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


if __name__ == "__main__":
    sys.exit(main())
