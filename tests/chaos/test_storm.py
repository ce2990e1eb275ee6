"""The short form of the long run: everything is driven, everything is broken, nothing is lost or done twice.

A minute and a half; `make chaos` is the long form of the same program.
"""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import enclosure
from tests.chaos.faults import NEEDS_NAMESPACES, PER_MINUTE, FaultKind, drawn
from tests.chaos.plan import short

ROOT = Path(__file__).parent.parent.parent
WITHIN_S = 600
"""The run ends by itself long before; this ends what hangs."""
LEAST_RUNS, LEAST_KILLS = 50, 3
"""A storm that does nothing shows nothing."""


def test_a_short_storm_leaves_nothing_doubled_lost_or_open(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    command = [
        sys.executable,
        "-m",
        "tests.chaos",
        "--short",
        "--seed",
        str(seed),
        "--results",
        str(tmp_path),
    ]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False)

    print(done.stdout, done.stderr)
    print(*(log.read_text() for log in sorted(tmp_path.glob("*/offender-*.log"))))
    assert done.returncode == 0
    assert number_in(done.stdout, "runs started") >= LEAST_RUNS
    assert number_in(done.stdout, FaultKind.WORKER_KILLED) >= LEAST_KILLS
    wanted = {
        fault.kind for fault in drawn(seed, storm_s=short(seed).storm_s, namespaces=not enclosure.why_not())
    }
    injected = {kind for kind in wanted if number_in(done.stdout, kind)}
    assert len(injected) > len(wanted) / 2, f"not injected: {wanted - injected}"


def number_in(report: str, label: str) -> int:
    """What the report counts there first: faults injected stand before those that were passed over."""
    before, _, _ = report.partition("passed over, ")
    found = re.search(rf"^ *{re.escape(label)} +([\d,]+)", before, re.MULTILINE)
    return int(found[1].replace(",", "")) if found else 0


def test_the_same_seed_gives_the_same_faults() -> None:
    first, again, other = drawn(7, storm_s=600), drawn(7, storm_s=600), drawn(8, storm_s=600)

    assert first == again
    assert first != other
    assert {fault.kind for fault in first} == set(PER_MINUTE)
    assert all(fault.at_s + fault.lasts_s <= 600 for fault in first)


def test_without_namespaces_no_fault_needs_any() -> None:
    kinds = {fault.kind for fault in drawn(7, storm_s=600, namespaces=False)}

    assert kinds == set(PER_MINUTE) - NEEDS_NAMESPACES


def test_ci_has_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are not permitted the storm blows without hosts of their own: on a laptop, not in CI."""
    why = enclosure.why_not()
    if why:
        monkeypatch.setenv("CI", "1")
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos", "--short"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 2
    else:
        command = ["unshare", "--net", "ip", "link", "set", "lo", "up"]
        assert subprocess.run(command, check=False).returncode == 0
