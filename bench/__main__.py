"""`python -m bench`: speed and memory of the product, side by side with what users would pick instead.

Tables go to the terminal, all figures to `bench-results/<time>.json`.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.figures import show
from bench.parts import PARTS, measure
from bench.usage import machine

RESULTS = Path("bench-results")


def main() -> int:
    """Measure, print, write; 1 if a part failed."""
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    results: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": arguments.quick,
        "machine": {},
        "parts": {},
    }
    failed = []
    for name in arguments.only or PARTS:
        begin, before = time.perf_counter(), machine()
        try:
            part = measure(name, quick=arguments.quick)
        except Exception as error:
            failed.append(name)
            console.print(f"[bold]{name}[/] failed: {error!r}", highlight=False)
            continue
        results["machine"][name] = before
        part["took_s"] = round(time.perf_counter() - begin, 1)
        results["parts"][name] = part
        show(console, name, part)
        console.print(
            f"  load before: {before['load']}, reference: {before['reference_ms']} ms", highlight=False
        )
    path = arguments.json or RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"figures: {path}", highlight=False)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"where figures go (default: {RESULTS}/…)")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="NAME", help=", ".join(PARTS))
    parser.add_argument(
        "--quick", action="store_true", help="fewer repetitions, no large ones: about 9 minutes"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
