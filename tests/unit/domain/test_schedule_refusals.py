"""Frequencies that are refused: what each error names, bounds of periods and timeouts."""

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.limits import CLASSIC, LIMITS_2026
from cloudassist_tasks.domain.schedule import (
    fitting_timeout_s,
    least_period_s,
    parse_schedule,
)
from tests.unit.domain.frequencies import NOW_MS, checked
from tests.unit.domain.refusals import refused

FIELD_ERRORS = [
    ("60 * * * * *", "second field"),
    ("0 60 * * * *", "minute field"),
    ("0 008 * * * *", "minute field"),
    ("0 */0 * * * *", "minute field"),
    ("0 */60 * * * *", "step"),
    ("0 5-2 * * * *", "runs backwards"),
    ("0 1,,2 * * * *", "comma"),
    ("0 1/2/3 * * * *", "minute field"),
    ("0 -5 * * * *", "minute field"),
    ("0 ? * * * *", "minute field"),
    ("0 0 24 * * *", "hour field"),
    ("0 0 L * * *", "hour field"),
    ("0 0 0 0 * ?", "day-of-month field"),
    ("0 0 0 32 * ?", "day-of-month field"),
    ("0 0 0 32W * ?", "day-of-month field"),
    ("0 0 0 W * ?", "day-of-month field"),
    ("0 0 0 1#2 * ?", "day-of-month field"),
    ("0 0 0 1-LW * ?", "day-of-month field"),
    ("0 0 0 ? 13 1", "month field"),
    ("0 0 0 ? JANU 1", "month field"),
    ("0 0 0 ? ? 1", "month field"),
    ("0 0 0 ? * 8", "day-of-week field"),
    ("0 0 0 ? * 6#0", "#1 to #5"),
    ("0 0 0 ? * 6#6", "#1 to #5"),
    ("0 0 0 ? * 8L", "day-of-week field"),
    ("0 0 0 ? * WEDS", "day-of-week field"),
    ("0 0 0 ? * 15W", "day-of-week field"),
    ("0 0 0 ? * FRI-MON", "runs backwards"),
    ("0 0 0 ? * 1 1969", "year field"),
    ("0 0 0 ? * 1 2100", "year field"),
    ("0 0 0 ? * 1 2026-20270", "year field"),
    ("0 0 0 ? * 1 x2026", "year field"),
    ("0 \u0661 * * * *", "minute field"),  # a digit of another script
]


@pytest.mark.parametrize(("expression", "naming"), FIELD_ERRORS)
def test_an_error_names_the_field_that_is_wrong(expression: str, naming: str) -> None:
    with refused(Kind.BAD_FREQUENCY, naming=naming):
        parse_schedule(expression, created_ms=0)


@pytest.mark.parametrize(
    ("expression", "naming"),
    [
        ("", "0 */20 * * * *"),
        ("   ", "0 */20 * * * *"),
        ("0" * 1_001, "1001 characters"),
        ("*/20 * * * *", "5 lack the seconds: 0 */20 * * * *"),
        ("@daily", "1 fields"),
        ("0 0 0 * * ? * UTC UTC", "9 fields"),
        ("rate", "rate(20m)"),
        ("rate()", "rate(20m)"),
        ("rate(20)", "rate(20m)"),
        ("rate(20 minutes)", "rate(20m)"),
        ("rate(-5m)", "rate(20m)"),
        ("rate(1.5h)", "rate(20m)"),
        ("rate(20m", "rate(20m)"),
        ("rate(0h)", "zero"),
        ("at()", "yyyy-MM-dd HH:mm:ss"),
        ("at(2026-06-01)", "yyyy-MM-dd HH:mm:ss"),
        ("at(2026-06-01T10:00:00)", "yyyy-MM-dd HH:mm:ss"),
        ("at(2026-02-30 10:00:00)", "2026-02-30"),
        ("at(2026-06-01 24:00:00)", "24:00:00"),
        ("at(1969-06-01 10:00:00)", "1970-2099"),
        ("at(2026-06-01 10:00:00 CST)", "time zone"),
    ],
)
def test_an_error_says_how_it_is_written(expression: str, naming: str) -> None:
    with refused(Kind.BAD_FREQUENCY, naming=naming):
        parse_schedule(expression, created_ms=0)


@pytest.mark.parametrize(
    "zone",
    [
        "CST", "EST", "Shanghai", "Asia/Atlantis", "America/Argentina", "GMT+08:00", "GMT+8", "GMT8:00",
        "GMT+15:00", "GMT-13:00", "GMT+8:60", "utc", "Etc/../UTC", "/Europe/Berlin", "posix/Europe/Berlin",
        "right/UTC", "+8:00",
    ],
)  # fmt: skip
def test_other_zones_are_refused(zone: str) -> None:
    with refused(Kind.BAD_FREQUENCY, naming="time zone"):
        parse_schedule(f"0 0 12 * * ? * {zone}", created_ms=0)
    with refused(Kind.BAD_FREQUENCY, naming="time zone"):
        parse_schedule("0 0 12 * * ?", created_ms=0, zone=zone)


@pytest.mark.parametrize(
    "expression",
    [
        "0 15 10 ? * * 2022 Asia/Shanghai", "0 0 0 30 2 ?", "0 0 0 31 4,6,9,11 ?", "0 0 0 29 2 ? 2027",
        "0 0 0 ? 2 1#5 2026", "at(2025-12-31 23:59:59)", "at(2026-01-01 00:00:00)",
        "at(2026-01-01 07:00:00 Asia/Shanghai)",
    ],
)  # fmt: skip
def test_what_has_no_time_to_come_is_refused(expression: str) -> None:
    with refused(Kind.BAD_FREQUENCY, naming="no time to come"):
        checked(expression)


@pytest.mark.parametrize(
    ("expression", "period_s"),
    [
        ("0/10 * * * * ?", 10),
        ("0/7 * * * * ?", 4),  # 56 and 0
        ("0,59 * * * * ?", 1),
        ("0,59 0,30 * * * ?", 59),
        ("5 0/7 * * * ?", 240),
        ("30,40 0 * * * ?", 10),
        ("0,50 0,59 * * * ?", 10),  # 59:50 and 0:00
        ("0,50 0,59 0/2 * * ?", 50),
        ("0 0,59 0,23 ? * 1", 3_540),  # no two days in a row
        ("0 0,59 0,23 ? * 1,2", 60),
        ("0 0,59 0,23 1,L * ?", 60),
        ("0 0,59 0,23 28,29 2 ?", 60),  # in a leap year
        ("0 0,59 0,23 29 2 ?", 3_540),
        ("0 0 12 * * ?", 86_400),
        ("0 0 12 1 1 ?", 86_400),  # a day or more
        ("rate(30s)", 30),
    ],
)
def test_the_least_distance_of_two_times_is_known(expression: str, period_s: int) -> None:
    assert period_s == least_period_s(parse_schedule(expression, created_ms=0), now_ms=NOW_MS)


@pytest.mark.parametrize(
    "expression", ["0/9 * * * * ?", "0/7 * * * * ?", "0,55 0,59 0,23 * * ?", "* * * * * *"]
)
def test_a_cron_expression_leaves_ten_seconds_between(expression: str) -> None:
    with refused(Kind.BAD_FREQUENCY, naming="at least 10 s between"):
        checked(expression)
    assert checked("0/10 * * * * ?").is_repeating


@pytest.mark.parametrize(
    ("expression", "classic", "today"),
    [
        ("rate(9s)", False, False),
        ("rate(10s)", True, False),
        ("rate(59s)", True, False),
        ("rate(60s)", True, True),
        ("rate(7d)", True, True),
        ("rate(169h)", True, False),
        ("rate(366d)", True, False),
        ("rate(367d)", False, False),
    ],
)
def test_a_rate_has_its_bounds(expression: str, classic: bool, today: bool) -> None:
    for limits, allowed in ((CLASSIC, classic), (LIMITS_2026, today)):
        if allowed:
            assert checked(expression, limits)
        else:
            with refused(Kind.BAD_FREQUENCY, naming="a rate may be every"):
                checked(expression, limits)


@pytest.mark.parametrize(
    ("expression", "asked_s", "expected_s"),
    [
        ("rate(10s)", None, 10),
        ("rate(10s)", 10, 10),
        ("rate(10s)", 3, 10),
        ("rate(30m)", None, 60),
        ("rate(30m)", 1_800, 1_800),
        ("0/30 * * * * ?", None, 30),
        ("0 0 * * * ?", 3_600, 3_600),
        ("0 0 12 * * ?", 86_400, 86_400),
        ("at(2026-06-01 10:00:00)", None, 60),
        ("at(2026-06-01 10:00:00)", 7_200, 7_200),
    ],
)
def test_a_timeout_is_never_longer_than_the_period(
    expression: str, asked_s: int | None, expected_s: int
) -> None:
    schedule = checked(expression)

    assert expected_s == fitting_timeout_s(schedule, asked_s, now_ms=NOW_MS, limits=CLASSIC)


@pytest.mark.parametrize(
    ("expression", "asked_s"), [("rate(10s)", 11), ("0/30 * * * * ?", 60), ("0 0 * * * ?", 3_601)]
)
def test_a_longer_timeout_is_refused(expression: str, asked_s: int) -> None:
    with refused(Kind.BAD_FREQUENCY, naming="Timeout of at most"):
        fitting_timeout_s(checked(expression), asked_s, now_ms=NOW_MS, limits=CLASSIC)
