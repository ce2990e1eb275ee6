"""RepeatMode, Frequency and Timed."""

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.invocation import RepeatMode
from cloudassist_tasks.domain.repeat import asked_repeat_mode
from tests.unit.domain.refusals import refused

CRON = "0 */20 * * * *"


@pytest.mark.parametrize(
    ("repeat_mode", "timed"), [(None, None), ("", None), ("Once", None), (None, False), ("Once", False)]
)
def test_once_is_immediate(repeat_mode: str | None, timed: bool | None) -> None:
    assert RepeatMode.ONCE is asked_repeat_mode(repeat_mode, timed=timed)


@pytest.mark.parametrize(
    ("repeat_mode", "timed"), [(None, True), ("Period", True), ("Once", None), (None, None), (None, False)]
)
def test_a_frequency_makes_it_periodic(repeat_mode: str | None, timed: bool | None) -> None:
    assert RepeatMode.PERIOD is asked_repeat_mode(repeat_mode, frequency=CRON, timed=timed)


@pytest.mark.parametrize(
    ("repeat_mode", "timed"), [("Period", None), ("Period", False), (None, True), ("Once", True)]
)
def test_a_period_without_a_frequency_is_refused(repeat_mode: str | None, timed: bool | None) -> None:
    with refused(Kind.MISSING_FREQUENCY):
        asked_repeat_mode(repeat_mode, timed=timed)


@pytest.mark.parametrize("repeat_mode", ["NextRebootOnly", "EveryReboot"])
def test_what_waits_for_a_boot_needs_no_frequency(repeat_mode: str) -> None:
    assert RepeatMode(repeat_mode) is asked_repeat_mode(repeat_mode, timed=True)
    assert RepeatMode(repeat_mode) is asked_repeat_mode(repeat_mode)


def test_a_dry_run_is_carried_out() -> None:
    assert RepeatMode.DRY_RUN is asked_repeat_mode("DryRun")


@pytest.mark.parametrize("frequency", [None, CRON])
def test_an_unknown_mode_is_refused(frequency: str | None) -> None:
    with refused(Kind.BAD_REPEAT_MODE, naming="Often"):
        asked_repeat_mode("Often", frequency=frequency)
