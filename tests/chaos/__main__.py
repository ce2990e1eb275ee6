"""`python -m tests.chaos --seed N --minutes M`: a long run under random faults; `make chaos`.

The seed is printed, and gives the same schedule of faults and the same callers again. Exit code: 0 if nothing
was wrong, 1 if something was, 2 if the run itself could not be carried out.
"""

import argparse
import asyncio
import os
import random
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from tests.chaos import enclosure
from tests.chaos.plan import Plan, long, short
from tests.chaos.run import carried_out

RESULTS = Path(__file__).parent.parent.parent / "chaos-results"


def main(arguments: list[str]) -> int:
    """Draw the seed, go into namespaces, run, report."""
    options = _options(arguments)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
        arguments = [*arguments, "--seed", str(options.seed)]
    refused = ""
    if not enclosure.inside():
        refused = enclosure.why_not()
        if not refused:
            enclosure.enter("tests.chaos", arguments)
        if os.environ.get("CI"):
            print(f"hosts in namespaces are a part of this in CI: {refused}", file=sys.stderr)
            return 2
        print(f"without hosts in namespaces, and on the machine's own network: {refused}")
    plan = _plan(options, namespaces=not refused)
    print(f"seed {plan.seed}", flush=True)
    return asyncio.run(_run(plan, options.results))


async def _run(plan: Plan, results: Path) -> int:
    try:
        report = await carried_out(plan, results)
    except Exception:  # of the harness itself: no verdict on the product
        traceback.print_exc()
        print(f"the run with seed {plan.seed} could not be carried out", file=sys.stderr)
        return 2
    print(report.text())
    return 0 if report.clean else 1


def _plan(options: argparse.Namespace, *, namespaces: bool) -> Plan:
    plan = short(options.seed) if options.short else long(options.seed, options.minutes)
    wished = {name: getattr(options, name) for name in ("rate", "runs_per_s", "workers")}
    given = {name: value for name, value in wished.items() if value is not None}
    return replace(plan, namespaces=namespaces, **given)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of an earlier run; left out: a new one")
    parser.add_argument(
        "--minutes", type=float, default=25, help="in all; the storm is over 3 minutes earlier"
    )
    parser.add_argument("--short", action="store_true", help="the short form, of about a minute and a half")
    parser.add_argument("--rate", type=float, help="so many times the usual number of faults")
    parser.add_argument("--runs-per-s", type=float, help="runs asked for per second, on average")
    parser.add_argument("--workers", type=int, help="worker processes at once")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the report is saved")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
