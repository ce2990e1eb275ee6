"""What must never happen does not, in some dozen small storms; and one seed is one course of events.

`make simulate` runs thousands of seeds, and one invocation of 100,000 members.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulation.server import Servers
from tests.simulation.world import drawn, large, simulate

SMALL = range(1, 13)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


@pytest.mark.parametrize("seed", SMALL)
def test_no_storm_makes_what_must_never_happen(servers: Servers, seed: int) -> None:
    report = simulate(drawn(seed, instances=12), servers)

    assert report.faults == [], f"python -m tests.simulation --seed {seed} --instances 12 --trace"
    assert sum(report.injected.values()) > 1
    assert sum(report.ended.values()) > 0


def test_one_seed_is_one_course_of_events_in_every_process(servers: Servers) -> None:
    here = simulate(drawn(7, instances=10), servers)
    again = simulate(drawn(7, instances=10), servers)
    elsewhere = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", "7", "--instances", "10"],
        env={**os.environ, "PYTHONHASHSEED": "42"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert here.hash == again.hash
    assert f"seed 7: {here.hash} " in elsewhere.stdout, elsewhere.stdout + elsewhere.stderr


def test_another_seed_is_another_course_of_events(servers: Servers) -> None:
    assert simulate(drawn(1, instances=8), servers).hash != simulate(drawn(2, instances=8), servers).hash


def test_hundreds_of_members_run_once_each_through_a_storm(servers: Servers) -> None:
    report = simulate(large(1, 400), servers)

    assert report.faults == []
    assert sum(report.ended.values()) == 400


@pytest.mark.chaos
def test_a_hundred_storms_on_larger_fleets(servers: Servers) -> None:
    bad = {}
    for seed in range(1_000, 1_100):
        if faults := simulate(drawn(seed), servers).faults:
            bad[seed] = faults

    assert bad == {}
