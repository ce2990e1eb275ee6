"""Times of schedules and boots that were missed, doubled or came too late are seen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import (
    Firing,
    RepeatMode,
    Why,
)
from cloudassist_tasks.ports.schedules import MissedTicks
from tests.chaos import ticks
from tests.chaos.made import KEY, S, invocation, ran
from tests.chaos.records import Records
from tests.chaos.verdict import Wrong

AT_BOOT: Mapping[str, Any] = {"repeat_mode": RepeatMode.EVERY_REBOOT, "created_ms": 1_000}


def boot_task(*opened_ms: int) -> Records:
    """On i-1, open from second 1 to 200; its rounds."""
    whole = replace(invocation(**AT_BOOT), stop_ms=200_000, finish_ms=200_100)
    records = Records(wholes={whole.spec.id: whole}, members={whole.spec.id: [InstanceId("i-1")]})
    for number, at_ms in enumerate(opened_ms, start=1):
        one = invocation(round=number, opened_ms=at_ms, **AT_BOOT)
        records.rounds[one.of] = one
        records.runs[replace(KEY, round=number)] = ran(S.SUCCESS)
    return records


def of_boots(
    records: Records, boots: Mapping[str, Sequence[tuple[int, int]]], stopped_ms: int = 0
) -> list[Wrong]:
    found = ticks.judged(records, away=(), boots=boots, stopped_ms={"t-1": stopped_ms})
    return [offence.wrong for offence in found]


def test_a_boot_task_has_a_round_for_each_boot_of_its_own_machine() -> None:
    own, others = {"i-1": [(90_000, 95_000)]}, {"i-2": [(90_000, 95_000), (120_000, 121_000)]}

    assert of_boots(boot_task(97_000), own) == []
    assert of_boots(boot_task(97_000, 99_000), own) == [Wrong.DOUBLED]
    assert of_boots(boot_task(97_000), others) == [Wrong.DOUBLED]
    assert of_boots(boot_task(), others) == []
    assert of_boots(boot_task(), own) == [Wrong.LOST]
    assert of_boots(boot_task(), {"i-1": [(180_000, 185_000)]}) == []


def test_one_boot_of_before_may_count_for_a_boot_task() -> None:
    before = {"i-1": [(-30_000, -25_000), (-9_000, -5_000)]}

    assert of_boots(boot_task(97_000), before) == []
    assert of_boots(boot_task(97_000, 99_000), before) == [Wrong.DOUBLED]


def test_a_round_that_is_opened_after_its_schedule_was_stopped_is_seen() -> None:
    boots = {"i-1": [(90_000, 95_000)]}

    assert of_boots(boot_task(97_000), boots, stopped_ms=100_000) == []
    assert of_boots(boot_task(97_000), boots, stopped_ms=50_000) == [Wrong.UNTRUE]


def clocked(*fired_ms: int, **fields: Any) -> Records:
    """Every 10 s from second 0 on, stopped at second 45; a round for each of these."""
    timing: Mapping[str, Any] = {"repeat_mode": RepeatMode.PERIOD, "frequency": "rate(10s)"}
    whole = replace(invocation(**timing), stop_ms=45_000, finish_ms=90_000)
    records = Records(wholes={whole.spec.id: whole}, missed={whole.spec.id: fields.get("missed", ())})
    for number, at_ms in enumerate(fired_ms, start=1):
        one = invocation(round=number, **timing)
        firing = Firing(why=Why.TICK, at_ms=at_ms, opened_ms=at_ms, skipped=0)
        records.rounds[one.of] = replace(one, firing=firing)
    return records


@pytest.mark.parametrize(
    ("fired_s", "found"),
    [
        ((10, 20, 30, 40), []),
        ((10, 20, 20, 30, 40), [Wrong.DOUBLED]),
        ((10, 20, 40), [Wrong.LOST]),
        ((10, 20, 30, 40, 60), [Wrong.UNTRUE]),  # after its stop, though before its close
        ((10, 20, 30, 33, 40), [Wrong.UNTRUE]),
    ],
)
def test_each_time_of_a_schedule_fires_once_until_its_stop(
    fired_s: Sequence[int], found: list[Wrong]
) -> None:
    assert of_boots(clocked(*(1_000 * s for s in fired_s)), {}) == found


def test_a_time_is_missed_only_while_no_beat_is_up() -> None:
    missed = [MissedTicks(count=1, first_ms=30_000, last_ms=30_000, seen_ms=50_000, done="skip")]
    records = clocked(10_000, 20_000, 40_000, missed=missed)

    assert of_boots(records, {}) == [Wrong.LOST]
    assert list(ticks.judged(records, away=[(29_000, 44_000)], boots={}, stopped_ms={})) == []
