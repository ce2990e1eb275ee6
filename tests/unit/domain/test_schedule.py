"""Frequency: the documented examples, the other two forms, bounds, words, and what each error names."""

from datetime import UTC, datetime

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.limits import CLASSIC, LIMITS_2026, Limits
from cloudassist_tasks.domain.schedule import (
    At,
    Cron,
    Rate,
    Schedule,
    checked_schedule,
    fitting_timeout_s,
    least_period_s,
    parse_schedule,
)
from tests.unit.domain.refusals import refused


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000


NOW_MS = milliseconds("2026-01-01T00:00:00")


def checked(expression: str, limits: Limits = CLASSIC, zone: str = "UTC") -> Schedule:
    return checked_schedule(expression, now_ms=NOW_MS, limits=limits, zone=zone)


def times(schedule: Schedule, after_ms: int, count: int = 5) -> list[str]:
    found: list[str] = []
    next_ms = schedule.next_after(after_ms)
    while next_ms is not None and len(found) < count:
        found.append(datetime.fromtimestamp(next_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        next_ms = schedule.next_after(next_ms)
    return found


DOCUMENTED = [
    (
        "0 */20 * * * *",
        "2026-01-01T00:00:00",
        "2026-01-01T00:20:00 2026-01-01T00:40:00 2026-01-01T01:00:00 2026-01-01T01:20:00 2026-01-01T01:40:00",
        "every 20 minutes",
    ),
    (
        "0 15 10 ? * * 2022 Asia/Shanghai",
        "2022-12-28T12:00:00",
        "2022-12-29T02:15:00 2022-12-30T02:15:00 2022-12-31T02:15:00",
        "at 10:15 each day in 2022, Asia/Shanghai",
    ),
    (
        "0 0/30 10-11 * * ? 2022 GMT+8:00",
        "2022-06-01T00:00:00",
        "2022-06-01T02:00:00 2022-06-01T02:30:00 2022-06-01T03:00:00 2022-06-01T03:30:00 2022-06-02T02:00:00",
        "every 30 minutes from 10:00 to 11:30 in 2022, GMT+8:00",
    ),
    (
        "0 0/5 14 * 10 ? 2022/2 UTC",
        "2026-10-31T14:50:00",
        "2026-10-31T14:55:00 2028-10-01T14:00:00 2028-10-01T14:05:00 2028-10-01T14:10:00 2028-10-01T14:15:00",
        "every 5 minutes from 14:00 to 14:55 each day in October every 2 years from 2022 to 2098, UTC",
    ),
    (
        "0 0 12 ? * WED",
        "2026-01-01T00:00:00",
        "2026-01-07T12:00:00 2026-01-14T12:00:00 2026-01-21T12:00:00 2026-01-28T12:00:00 2026-02-04T12:00:00",
        "at 12:00 on Wednesday, UTC",
    ),
    (
        "0 10,44 14 ? 3 WED",
        "2026-03-18T14:10:00",
        "2026-03-18T14:44:00 2026-03-25T14:10:00 2026-03-25T14:44:00 2027-03-03T14:10:00 2027-03-03T14:44:00",
        "at 14:10 and 14:44 on Wednesday in March, UTC",
    ),
    (
        "0 15 10 L * ?",
        "2028-01-01T00:00:00",
        "2028-01-31T10:15:00 2028-02-29T10:15:00 2028-03-31T10:15:00 2028-04-30T10:15:00 2028-05-31T10:15:00",
        "at 10:15 on the last day of each month, UTC",
    ),
    (
        "0 0 9 ? * 6L",
        "2026-01-01T00:00:00",
        "2026-01-31T09:00:00 2026-02-28T09:00:00 2026-03-28T09:00:00 2026-04-25T09:00:00 2026-05-30T09:00:00",
        "at 09:00 on the last Saturday of each month, UTC",
    ),
    (
        "0 0 9 ? * 6#3",
        "2026-01-01T00:00:00",
        "2026-01-17T09:00:00 2026-02-21T09:00:00 2026-03-21T09:00:00 2026-04-18T09:00:00 2026-05-16T09:00:00",
        "at 09:00 on the third Saturday of each month, UTC",
    ),
    (
        "0 0 9 ? * 4#2",
        "2026-01-01T00:00:00",
        "2026-01-08T09:00:00 2026-02-12T09:00:00 2026-03-12T09:00:00 2026-04-09T09:00:00 2026-05-14T09:00:00",
        "at 09:00 on the second Thursday of each month, UTC",
    ),
]


@pytest.mark.parametrize(("expression", "after", "expected", "words"), DOCUMENTED)
def test_a_documented_example_means_what_it_is_documented_to(
    expression: str, after: str, expected: str, words: str
) -> None:
    schedule = parse_schedule(expression, created_ms=0)

    assert expected.split() == times(schedule, milliseconds(after))
    assert words == schedule.describe()
    assert schedule.is_repeating
    assert expression == schedule.expression


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("15W * ?", "15 16 16 15 15"),  # Thursday, Sunday, Sunday, Wednesday, Friday
        ("1W * ?", "1 2 2 1 1"),  # of a Sunday the Monday; in August 2026 see below
        ("LW * ?", "30 27 31 30 29"),
        ("1 * 1", "1 5 12 19 26"),  # either suffices
        ("13 * 5-7", "2 3 4 9 10"),
        ("? * SUN-TUE", "4 5 6 11 12"),
        ("? * 0", "4 11 18 25 1"),
        ("? * 7", "4 11 18 25 1"),
        ("? * L", "4 11 18 25 1"),
        ("? * sunday", "4 11 18 25 1"),
        ("? * 5/2", "2 4 9 11 16"),
        ("31 * ?", "31 31 31 31 31"),
        ("1,L * ?", "1 31 1 28 1"),
        ("* * *", "1 2 3 4 5"),
        ("? * ?", "1 2 3 4 5"),
        ("29 FEB ? 2026-2040", "29 29 29 29"),
    ],
)
def test_days_are_the_calendars(days: str, expected: str) -> None:
    dom_month_dow = days.split()
    schedule = parse_schedule(f"0 0 12 {' '.join(dom_month_dow)}", created_ms=0)

    assert expected.split() == [str(int(time[8:10])) for time in times(schedule, NOW_MS)]


def test_the_weekday_nearest_to_the_first_stays_in_the_month() -> None:
    schedule = parse_schedule("0 0 12 1W 8 ? 2026", created_ms=0)

    assert times(schedule, NOW_MS) == ["2026-08-03T12:00:00"]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", "12:00"),
        ("GMT", "12:00"),
        ("Asia/Shanghai", "04:00"),
        ("GMT+8:00", "04:00"),
        ("GMT-0:30", "12:30"),
        ("GMT-12:59", "00:59"),
        ("GMT+14:59", "21:01"),
        ("Asia/Kathmandu", "06:15"),
        ("America/Argentina/Buenos_Aires", "15:00"),
    ],
)
def test_a_zone_can_stand_behind_or_be_given_beside(zone: str, expected: str) -> None:
    behind = parse_schedule(f"0 0 12 * * ? {zone}", created_ms=0, zone="Asia/Tokyo")
    with_a_year = parse_schedule(f"0 0 12 * * ? * {zone}", created_ms=0, zone="Asia/Tokyo")
    beside = parse_schedule("0 0 12 * * ?", created_ms=0, zone=zone)

    for schedule in (behind, with_a_year, beside):
        assert expected == times(schedule, NOW_MS)[0][11:16]
        assert zone == schedule.zone


@pytest.mark.parametrize(
    ("expression", "period_s"),
    [("rate(20m)", 1_200), ("RATE ( 90 S )", 90), ("rate(1 d)", 86_400), (" Rate(2H) ", 7_200)],
)
def test_a_rate_lies_on_the_grid_of_its_creation(expression: str, period_s: int) -> None:
    schedule = parse_schedule(expression, created_ms=NOW_MS + 1)
    period_ms = period_s * 1_000

    assert isinstance(schedule, Rate)
    assert NOW_MS + 1 + period_ms == schedule.next_after(0)
    assert NOW_MS + 1 + period_ms == schedule.next_after(NOW_MS + 1)
    assert NOW_MS + 1 + period_ms == schedule.next_after(NOW_MS + period_ms)
    assert NOW_MS + 1 + 2 * period_ms == schedule.next_after(NOW_MS + 1 + period_ms)
    assert NOW_MS + 1 + 8 * period_ms == schedule.next_after(NOW_MS + 1 + 7 * period_ms + 999)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("at(2026-06-01 10:00:00)", "2026-06-01T10:00:00"),
        ("AT( 2026-06-01  10:00:00  Asia/Shanghai )", "2026-06-01T02:00:00"),
        ("at(2026-06-01 10:00:00 GMT-3:30)", "2026-06-01T13:30:00"),
        ("at(2026-03-29 02:30:00 Europe/Berlin)", "2026-03-29T01:30:00"),
        ("at(2026-10-25 02:30:00 Europe/Berlin)", "2026-10-25T00:30:00"),
    ],
)
def test_a_time_comes_once(expression: str, expected: str) -> None:
    schedule = parse_schedule(expression, created_ms=0, zone="Asia/Tokyo")

    assert isinstance(schedule, At)
    assert [expected] == times(schedule, NOW_MS)
    assert not schedule.is_repeating
    assert schedule.next_after(milliseconds(expected)) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("rate(20m)", "every 20 minutes"),
        ("rate(90s)", "every 90 seconds"),
        ("rate(24h)", "every day"),
        ("at(2026-06-01 10:00:00)", "once, at 2026-06-01 10:00:00, UTC"),
        ("0 * * * * *", "every minute"),
        ("*/10 * * * * ?", "every 10 seconds"),
        ("0 0 * * * ?", "every hour"),
        ("0 0 */6 * * ?", "every 6 hours, UTC"),
        ("0 15 * * * ?", "at minute 15 of every hour"),
        ("0 5/20 * * * ?", "at minutes 5, 25 and 45 of every hour"),
        ("0 0/15 9-17 ? * MON-FRI", "every 15 minutes from 09:00 to 17:45 on Monday to Friday, UTC"),
        ("0 0/15 9,12 ? * 1", "every 15 minutes in the hours 9 and 12 on Monday, UTC"),
        ("5 0,10,20,30 9-17 * * ?", "at second 5 of minutes 0, 10, 20 and 30 of hours 9 to 17 each day, UTC"),
        ("0 30 9 1-3,15W,LW * ?", "at 09:30 on the 1st to 3rd, the weekday nearest to the 15th and the last"
         " weekday of each month, UTC"),
        ("0 30 9 22 1,2 5 2027,2028", "at 09:30 on the 22nd of January and February or on Friday in January"
         " and February in 2027 and 2028, UTC"),
        ("0 0 9,21 * 6-8 *", "at 09:00 and 21:00 each day in June to August, UTC"),
    ],
)  # fmt: skip
def test_it_can_be_said_in_words(expression: str, words: str) -> None:
    assert words == parse_schedule(expression, created_ms=0).describe()


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


def test_a_schedule_that_exists_keeps_its_grid_and_its_zone() -> None:
    created_ms = NOW_MS - 90_000

    rate = checked_schedule("rate(1m)", now_ms=NOW_MS, created_ms=created_ms, limits=CLASSIC)
    cron = checked("0 0 12 * * ?", zone="Asia/Shanghai")

    assert rate.next_after(NOW_MS) == NOW_MS + 30_000
    assert times(cron, NOW_MS, 1) == ["2026-01-01T04:00:00"]


def test_schedules_are_values() -> None:
    expressions = ("rate(20m)", "at(2026-06-01 10:00:00)", "0 0 12 * * ? Europe/Berlin")

    assert {checked(each) for each in expressions} == {checked(each) for each in expressions}


def test_asking_from_any_time_gives_the_same_times() -> None:
    schedule = parse_schedule("0 0 12 * * ? 2026-2027 Europe/Berlin", created_ms=0)

    assert isinstance(schedule, Cron)
    assert times(schedule, milliseconds("2027-12-30T12:00:00")) == ["2027-12-31T11:00:00"]
    assert times(schedule, -(10**15), 1) == ["2026-01-01T11:00:00"]
    assert schedule.next_after(10**15) is None
