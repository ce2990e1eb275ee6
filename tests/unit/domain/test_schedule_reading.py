"""Cron fields, read a second time: slowly, day by day, from the text, with nothing of the product's."""

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.schedule import parse_schedule

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
FULL = {
    "JANUARY": 1, "JUNE": 6, "DECEMBER": 12,
    "MONDAY": 1, "TUESDAY": 2, "WEDNESDAY": 3, "THURSDAY": 4, "FRIDAY": 5, "SATURDAY": 6, "SUNDAY": 7,
}  # fmt: skip
NAMES = {
    **{name: n for n, name in enumerate(MONTHS, 1)},
    **{name: n for n, name in enumerate(WEEKDAYS, 1)},
    **FULL,
}


def value(text: str) -> int:
    return NAMES[text.upper()] if text.upper() in NAMES else int(text)


def holds(text: str, number: int, highest: int) -> bool:
    """Whether a list of numbers, ranges and steps names the number."""
    for item in text.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            low, high = (0 if highest in (59, 23) else 1), highest
        elif "-" in span:
            low, high = (value(end) for end in span.split("-"))
        else:
            low = value(span)
            high = highest if step else low
        if low <= number <= high and (number - low) % int(step or 1) == 0:
            return True
    return False


def last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def nearest_weekday(day: date, wanted: int) -> int:
    """Tried outwards, first back and then on, within the month."""
    wanted = min(wanted, last_day(day))
    for distance in (0, -1, 1, -2, 2):
        near = wanted + distance
        if 1 <= near <= last_day(day) and day.replace(day=near).isoweekday() <= 5:
            return near
    raise AssertionError


def named_in_month(item: str, day: date) -> bool:
    item = item.upper()
    if item == "L":
        return day.day == last_day(day)
    if item == "LW":
        return day.day == max(d for d in range(1, last_day(day) + 1) if day.replace(day=d).isoweekday() <= 5)
    if item.endswith("W"):
        return day.day == nearest_weekday(day, int(item[:-1]))
    return holds(item, day.day, 31)


def named_in_week(item: str, day: date) -> bool:
    item, number = item.upper(), day.isoweekday()
    if item == "L":
        return number == 7
    if re.fullmatch(r"([0-7]|[A-Z]{3})L", item):
        return value(item[:-1]) % 7 == number % 7 and day.day + 7 > last_day(day)
    if "#" in item:
        name, which = item.split("#")
        return value(name) % 7 == number % 7 and (day.day + 6) // 7 == int(which)
    if re.match("SUN-(?!SUN|0?7)|7-[1-6]", item):  # a week that begins with its Sunday
        item = "0" + item[item.index("-") :]
    return holds(item, number, 7) or (number == 7 and holds(item, 0, 7))


def is_day(dom: str, month: str, dow: str, year: str, day: date) -> bool:
    if not holds(month, day.month, 12) or not (year in ("*", "?", "") or holds(year, day.year, 2099)):
        return False
    named = []
    if dom not in ("*", "?"):
        named.append(any(named_in_month(item, day) for item in dom.split(",")))
    if dow not in ("*", "?"):
        named.append(any(named_in_week(item, day) for item in dow.split(",")))
    return any(named) or not named


def slowly(fields: list[str], after: datetime, until: date) -> Iterator[datetime]:
    second, minute, hour, dom, month, dow, *year = fields
    times = [
        (h, m, s)
        for h in range(24) if holds(hour, h, 23)
        for m in range(60) if holds(minute, m, 59)
        for s in range(60) if holds(second, s, 59)
    ]  # fmt: skip
    day = after.date()
    while day < until:
        if is_day(dom, month, dow, year[0] if year else "", day):
            for h, m, s in times:
                time = datetime(day.year, day.month, day.day, h, m, s, tzinfo=UTC)
                if time > after:
                    yield time
        day += timedelta(days=1)


# -- texts


def number_text(low: int, high: int) -> st.SearchStrategy[str]:
    plain = st.integers(low, high).map(str)
    return plain | st.integers(low, min(9, high)).map(lambda number: f"0{number}")


def item_text(low: int, high: int, names: list[str]) -> st.SearchStrategy[str]:
    one = number_text(low, high) | (st.sampled_from(names) if names else st.nothing())

    def span(pair: tuple[str, str]) -> str:
        return "-".join(sorted(pair, key=value))

    ranges = st.tuples(one, one).map(span)
    step = st.integers(1, high).map(lambda number: f"/{number}")
    return one | ranges | st.builds(str.__add__, one | ranges | st.just("*"), step)


def listed(item: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(item, min_size=1, max_size=3).map(",".join)


SIXTY = st.just("0") | st.just("*/20") | listed(item_text(0, 59, []))
HOURS = st.just("*") | listed(item_text(0, 23, []))
MONTH = st.just("*") | listed(
    item_text(1, 12, [*MONTHS, *(each.title() for each in MONTHS), "June", "december"])
)
IN_MONTH = (
    st.sampled_from(["*", "?", "L", "LW", "l", "lw"])
    | number_text(1, 31).map(lambda number: f"{number}W")
    | listed(item_text(1, 31, []))
    | listed(item_text(1, 31, []) | st.sampled_from(["L", "LW", "1W", "15W", "31W"]))
)
ONE_WEEKDAY = st.integers(0, 7).map(str) | st.sampled_from([*WEEKDAYS, "sun", "Mon"])
IN_WEEK = (
    st.sampled_from(["*", "?", "L", "5-7", "MON-SUN", "SUN-TUE", "7-3", "0-7", "sat-sun", "FRI-7", "Sunday"])
    | ONE_WEEKDAY.map(lambda day: f"{day}L")
    | st.builds("{}#{}".format, ONE_WEEKDAY, st.integers(1, 5))
    | listed(item_text(1, 7, WEEKDAYS))
    | listed(st.sampled_from(["MON", "3", "6L", "2#1", "5#5", "L", "0"]))
)
YEAR = (
    st.just("")
    | st.sampled_from(["*", "2027", "2026/2", "2026-2030", "2027,2031", "2028-2090/4", "?"])
    | st.integers(2026, 2034).map(str)
)
START = st.datetimes(datetime(2026, 1, 1), datetime(2030, 12, 31)).map(
    lambda time: time.replace(microsecond=0, tzinfo=UTC)
)


def milliseconds(time: datetime) -> int:
    return round(time.timestamp()) * 1_000


@settings(max_examples=300)
@given(SIXTY, SIXTY, HOURS, IN_MONTH, MONTH, IN_WEEK, YEAR, START)
def test_a_slow_reading_of_the_text_finds_the_same_times(
    second: str, minute: str, hour: str, dom: str, month: str, dow: str, year: str, start: datetime
) -> None:
    fields = [second, minute, hour, dom, month, dow, *([year] if year else [])]
    schedule = parse_schedule(" ".join(fields), created_ms=0)
    until = date(start.year + 9, 1, 1)

    expected = slowly(fields, start, until)
    after = start
    for _ in range(6):
        found = schedule.next_after(milliseconds(after))
        time = next(expected, None)
        if time is None:
            assert found is None or found >= milliseconds(datetime(until.year, 1, 1, tzinfo=UTC))
            return
        assert milliseconds(time) == found
        after = time


@settings(max_examples=150)
@given(IN_MONTH, MONTH, IN_WEEK, st.sampled_from(["2026", "2027-2028", "2030"]))
def test_the_days_of_whole_years_are_the_same(dom: str, month: str, dow: str, year: str) -> None:
    schedule = parse_schedule(f"0 0 12 {dom} {month} {dow} {year}", created_ms=0)
    begin = datetime(2026, 1, 1, tzinfo=UTC)

    expected = list(slowly(["0", "0", "12", dom, month, dow, year], begin, date(2031, 1, 1)))
    found: list[int] = []
    next_ms = schedule.next_after(milliseconds(begin))
    while next_ms is not None:
        found.append(next_ms)
        next_ms = schedule.next_after(next_ms)

    assert [milliseconds(time) for time in expected] == found


@given(
    st.text(max_size=40) | st.lists(st.sampled_from("*/?LW#-,0159 AFRMONSU()rat:"), max_size=40).map("".join)
)
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    refusal = None
    try:
        schedule = parse_schedule(text, created_ms=0)
        schedule.next_after(1_767_225_600_000)
        assert schedule.describe()
    except Refused as error:
        refusal = error

    assert refusal is None or (refusal.kind is Kind.BAD_FREQUENCY and "\n" not in refusal.message)
