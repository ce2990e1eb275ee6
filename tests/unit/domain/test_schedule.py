"""Frequency: the documented examples, the other two forms, words."""

import pytest

from cloudassist_tasks.domain.limits import CLASSIC
from cloudassist_tasks.domain.schedule import (
    At,
    Cron,
    Rate,
    checked_schedule,
    parse_schedule,
)
from tests.unit.domain.frequencies import NOW_MS, checked, milliseconds, times

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
