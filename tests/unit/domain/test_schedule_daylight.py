"""Schedules where clocks are put forward and back: every change of 2026 and 2027 in three zones, and a slow
reading that looks at each instant."""

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudassist_tasks.domain.schedule import parse_schedule

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"

FORWARD = [
    (BERLIN, "2026-03-29T01:00"),
    (BERLIN, "2027-03-28T01:00"),
    (NEW_YORK, "2026-03-08T07:00"),
    (NEW_YORK, "2027-03-14T07:00"),
    (LORD_HOWE, "2026-10-03T15:30"),
    (LORD_HOWE, "2027-10-02T15:30"),
]
BACK = [
    (BERLIN, "2026-10-25T01:00"),
    (BERLIN, "2027-10-31T01:00"),
    (NEW_YORK, "2026-11-01T06:00"),
    (NEW_YORK, "2027-11-07T06:00"),
    (LORD_HOWE, "2026-04-04T15:00"),
    (LORD_HOWE, "2027-04-03T15:00"),
]
"""In UTC. Forward from 02:00 to 03:00, on Lord Howe to 02:30; back from 03:00 to 02:00, in New York from
02:00 to 01:00, on Lord Howe from 02:00 to 01:30."""

RHYTHM = "0 0/10 * * * ?"

TABLE = [
    # put forward, hours restricted: what is left out comes late, once, and not twice with its neighbour
    (FORWARD, BERLIN, "0 30 2 * * ?", ["+0:30"]),
    (FORWARD, BERLIN, "0 30 1,2,3 * * ?", ["-0:30", "+0:30"]),
    (FORWARD, BERLIN, "0 0 1-4 * * ?", ["-1:00", "+0:00", "+1:00"]),
    (FORWARD, NEW_YORK, "0 30 2 * * ?", ["+0:30"]),
    (FORWARD, NEW_YORK, "0 0,59 2 * * ?", ["+0:00", "+0:59"]),
    (FORWARD, NEW_YORK, "0 20 1-3 * * ?", ["-0:40", "+0:20"]),
    (FORWARD, LORD_HOWE, "0 15 2 * * ?", ["+0:15"]),
    (FORWARD, LORD_HOWE, "0 0,45 2 * * ?", ["+0:00", "+0:15"]),
    (FORWARD, LORD_HOWE, "0 30 2 * * ?", ["+0:00"]),
    # put forward, every hour: as the clock shows it
    (FORWARD, BERLIN, "0 30 * * * ?", ["-1:30", "-0:30", "+0:30", "+1:30"]),
    (FORWARD, NEW_YORK, "0 30 * * * ?", ["-1:30", "-0:30", "+0:30", "+1:30"]),
    (FORWARD, LORD_HOWE, "0 0 * * * ?", ["-2:00", "-1:00", "+0:30", "+1:30"]),
    # put back, hours restricted: the first of the two
    (BACK, BERLIN, "0 30 2 * * ?", ["-0:30"]),
    (BACK, BERLIN, "0 30 1,2,3 * * ?", ["-1:30", "-0:30", "+1:30"]),
    (BACK, BERLIN, "0 0 2,3 * * ?", ["-1:00", "+1:00"]),
    (BACK, NEW_YORK, "0 30 1 * * ?", ["-0:30"]),
    (BACK, NEW_YORK, "0 0 1,2 * * ?", ["-1:00", "+1:00"]),
    (BACK, LORD_HOWE, "0 45 1 * * ?", ["-0:15"]),
    (BACK, LORD_HOWE, "0 29,30 1,2 * * ?", ["-0:31", "-0:30", "+0:59", "+1:00"]),
    # put back, every hour: both, so that there is no hole
    (BACK, BERLIN, "0 30 * * * ?", ["-1:30", "-0:30", "+0:30", "+1:30"]),
    (BACK, NEW_YORK, "0 30 * * * ?", ["-1:30", "-0:30", "+0:30", "+1:30"]),
    (BACK, LORD_HOWE, "0 45 * * * ?", ["-1:15", "-0:15", "+0:15", "+1:15"]),
]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def milliseconds(time: datetime) -> int:
    return round(time.timestamp()) * 1_000


def distance(text: str) -> timedelta:
    hours, _, minutes = text[1:].partition(":")
    size = timedelta(hours=int(hours), minutes=int(minutes))
    return size if text[0] == "+" else -size


CASES = [
    (zone, change, expression, distances)
    for changes, of, expression, distances in TABLE
    for zone, change in changes
    if zone == of
]


def test_the_table_has_every_change_there_is() -> None:
    found = []
    for zone in (BERLIN, NEW_YORK, LORD_HOWE):
        half_hours = [instant("2026-01-01") + timedelta(minutes=30 * n) for n in range(2 * 24 * 365 * 2)]
        offsets = [(time, time.astimezone(ZoneInfo(zone)).utcoffset()) for time in half_hours]
        found += [(zone, after[0]) for before, after in pairwise(offsets) if before[1] != after[1]]

    assert sorted((zone, instant(text)) for zone, text in FORWARD + BACK) == sorted(found)


@pytest.mark.parametrize(("zone", "change", "expression", "distances"), CASES)
def test_a_change_of_the_clock_brings_each_time_where_the_rule_has_it(
    zone: str, change: str, expression: str, distances: list[str]
) -> None:
    schedule = parse_schedule(f"{expression} {zone}", created_ms=0)
    expected = [milliseconds(instant(change) + distance(text)) for text in distances]

    found = [schedule.next_after(expected[0] - 1)]
    while len(found) < len(expected) and found[-1] is not None:
        found.append(schedule.next_after(found[-1]))

    assert expected == found


@pytest.mark.parametrize(("zone", "change"), FORWARD + BACK)
def test_every_ten_minutes_has_no_hole_and_nothing_twice(zone: str, change: str) -> None:
    schedule = parse_schedule(f"{RHYTHM} {zone}", created_ms=0)
    first = milliseconds(instant(change) - timedelta(hours=3))

    found = [first]
    while len(found) <= 36:
        found.append(schedule.next_after(found[-1]) or 0)

    assert [first + n * 600_000 for n in range(37)] == found


@pytest.mark.parametrize(("zone", "change"), FORWARD + BACK)
def test_a_time_of_day_comes_once_a_day(zone: str, change: str) -> None:
    day = instant(change).astimezone(ZoneInfo(zone)).date()

    for hour in range(4):
        for minute in (0, 15, 30, 45):
            schedule = parse_schedule(f"0 {minute} {hour} * * ? {zone}", created_ms=0)
            begin = milliseconds(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))
            end = milliseconds(datetime(day.year, day.month, day.day, 23, 59, tzinfo=ZoneInfo(zone)))
            found = schedule.next_after(begin - 1)

            assert found is not None
            assert begin <= found < end
            assert end < (schedule.next_after(found) or 0)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 30 * 24 4 ? 2026", ["2026-04-23T22:30", "2026-04-23T23:30"]),  # 00:00 becomes 01:00
        ("0 30 0 24 4 ? 2026-2027", ["2026-04-23T22:30", "2027-04-23T22:30"]),
        ("0 30 23 29 10 ? 2026-2027", ["2026-10-29T20:30", "2027-10-29T21:30"]),  # 24:00 becomes 23:00
        ("0 30 22-23 29 10 ? 2026", ["2026-10-29T19:30", "2026-10-29T20:30"]),
    ],
)
def test_a_change_at_midnight_is_seen_from_far_away(expression: str, expected: list[str]) -> None:
    schedule = parse_schedule(f"{expression} Africa/Cairo", created_ms=0)

    first = schedule.next_after(milliseconds(instant("2026-01-01")))
    second = schedule.next_after(first or 0)

    assert [milliseconds(instant(text)) for text in expected] == [first, second]


def test_an_hour_that_is_repeated_before_midnight_belongs_to_its_day() -> None:
    schedule = parse_schedule("0 30 * 29 10 ? Africa/Cairo", created_ms=0)
    first = milliseconds(instant("2026-10-29T20:30"))

    assert first + 3_600_000 == schedule.next_after(first)


# -- the slow reading: each half minute of some days around a change

STEP_S = 30


@cache
def clock(zone: str, change: str) -> tuple[tuple[int, datetime], ...]:
    """Instants and what the clock shows then, in order."""
    begin = round((instant(change) - timedelta(hours=30)).timestamp())
    instants = range(begin, begin + 60 * 3_600, STEP_S)
    return tuple(
        (each, datetime.fromtimestamp(each, ZoneInfo(zone)).replace(tzinfo=None)) for each in instants
    )


def slowly(zone: str, change: str, seconds: set[int], minutes: set[int], hours: set[int]) -> list[int]:
    """All instants of the expression in those days, in order."""

    def named(wall: datetime) -> bool:
        return wall.second in seconds and wall.minute in minutes and wall.hour in hours

    if len(hours) == 24:
        return [each for each, wall in clock(zone, change) if named(wall)]
    first: dict[datetime, int] = {}
    for each, wall in clock(zone, change):
        first.setdefault(wall, each)
    found = set()
    wall, end = min(first), max(first)
    shown = wall
    while wall <= end:
        shown = wall if wall in first else shown
        if named(wall):  # one that was left out: as much later as it is behind the last that was shown
            found.add(first[shown] + round((wall - shown).total_seconds()))
        wall += timedelta(seconds=STEP_S)
    return sorted(found)


def numbers(size: int) -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(0, size - 1), min_size=1, max_size=5)


@settings(max_examples=150)
@given(
    st.sampled_from(FORWARD + BACK),
    st.sets(st.sampled_from([0, 30]), min_size=1),
    numbers(60),
    numbers(24) | numbers(5) | st.just(set(range(24))),
    st.integers(-12 * 3_600, 6 * 3_600),
)
def test_it_is_what_looking_at_each_instant_finds(
    place: tuple[str, str], seconds: set[int], minutes: set[int], hours: set[int], start_s: int
) -> None:
    zone, change = place
    fields = [",".join(map(str, sorted(each))) for each in (seconds, minutes, hours)]
    schedule = parse_schedule(f"{' '.join(fields)} * * ? {zone}", created_ms=0)
    expected = slowly(zone, change, seconds, minutes, hours)

    after_s = round(instant(change).timestamp()) + start_s
    for _ in range(12):
        position = bisect_right(expected, after_s)
        if position == len(expected) or expected[position] > clock(zone, change)[-1][0] - 3 * 3_600:
            break
        assert expected[position] * 1_000 == schedule.next_after(after_s * 1_000)
        after_s = expected[position]
