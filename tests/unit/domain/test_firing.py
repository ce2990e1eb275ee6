"""What a schedule that is found due asks for: a round, or a record of what was missed."""

from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.firing import MOST_COUNTED, Plan, due_ms, next_tick, plan
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Misfire, Why
from cloudassist_tasks.domain.schedule import parse_schedule

ID = InvokeId("t-1")
EVERY_10_S = parse_schedule("rate(10s)", created_ms=0)
LATE_MS = 10_000


def planned(tick_ms: int, now_ms: int, misfire: Misfire = Misfire.SKIP, jitter_s: int = 0) -> Plan:
    return plan(
        EVERY_10_S,
        tick_ms,
        now_ms=now_ms,
        late_ms=LATE_MS,
        misfire=misfire,
        invoke_id=ID,
        jitter_s=jitter_s,
    )


def test_a_time_that_was_looked_for_soon_enough_fires() -> None:
    found = planned(20_000, 29_999)

    assert (found.why, found.at_ms, found.next_tick_ms, found.missed) == (Why.TICK, 20_000, 30_000, 0)


def test_missed_times_are_recorded_and_the_next_one_is_on_the_grid() -> None:
    found = planned(20_000, 65_000)

    assert (found.why, found.next_tick_ms) == (None, 60_000)
    assert (found.missed, found.missed_from_ms, found.missed_to_ms) == (4, 20_000, 50_000)


def test_one_late_round_stands_for_all_that_was_missed_and_for_what_is_due() -> None:
    found = planned(20_000, 65_000, Misfire.ONCE)

    assert (found.why, found.at_ms, found.next_tick_ms, found.missed) == (Why.LATE, 50_000, 70_000, 4)


def test_a_time_that_comes_once_and_was_missed_is_over() -> None:
    once = parse_schedule("at(1970-01-01 00:01:00)", created_ms=0)

    skipped = plan(once, 60_000, now_ms=900_000, late_ms=LATE_MS, misfire=Misfire.SKIP, invoke_id=ID)
    late = plan(once, 60_000, now_ms=900_000, late_ms=LATE_MS, misfire=Misfire.ONCE, invoke_id=ID)

    assert (skipped.why, skipped.next_tick_ms, skipped.missed) == (None, None, 1)
    assert (late.why, late.next_tick_ms) == (Why.LATE, None)


def test_a_very_long_absence_is_not_counted_to_its_end() -> None:
    found = planned(10_000, 10_000 * (2 * MOST_COUNTED))

    assert found.missed == MOST_COUNTED
    assert found.next_tick_ms == 10_000 * (2 * MOST_COUNTED + 1)


@given(tick=st.integers(1, 10**6), jitter_s=st.integers(0, 9))
def test_a_round_begins_within_the_jitter_and_always_at_the_same_moment(tick: int, jitter_s: int) -> None:
    begins = due_ms(10_000 * tick, invoke_id=ID, jitter_s=jitter_s)

    assert 0 <= begins - 10_000 * tick <= 1_000 * jitter_s
    assert begins == due_ms(10_000 * tick, invoke_id=ID, jitter_s=jitter_s)


def test_no_time_up_to_what_a_round_stands_for_comes_again() -> None:
    punctual, skipped, late = (
        planned(20_000, 21_000),
        planned(20_000, 65_000),
        planned(20_000, 65_000, Misfire.ONCE),
    )

    assert [one.settled_ms for one in (punctual, skipped, late)] == [20_000, 50_000, 60_000]


def test_the_next_time_is_none_that_was_there_though_the_clock_was_put_back() -> None:
    found = next_tick(EVERY_10_S, now_ms=5_000, settled_ms=40_000, tick_ms=50_000, invoke_id=ID)

    assert found == 50_000


def test_a_time_whose_jitter_is_not_over_is_still_to_come() -> None:
    begins = due_ms(50_000, invoke_id=ID, jitter_s=9)
    assert begins > 50_001

    def found(now_ms: int, tick_ms: int = 50_000) -> int | None:
        return next_tick(
            EVERY_10_S, now_ms=now_ms, settled_ms=40_000, tick_ms=tick_ms, invoke_id=ID, jitter_s=9
        )

    assert [found(begins - 1), found(begins)] == [50_000, 60_000]
    assert found(50_001, tick_ms=60_000) == 60_000, "that one is no time of before the change"


def test_after_a_long_pause_nothing_is_counted_up_from_its_beginning() -> None:
    year_ms = 366 * 86_400_000

    found = next_tick(EVERY_10_S, now_ms=year_ms, settled_ms=10_000, tick_ms=20_000, invoke_id=ID)

    assert found == year_ms + 10_000


@given(
    looks=st.lists(st.integers(1, 100_000), min_size=1, max_size=60),
    misfire=st.sampled_from(Misfire),
    jitter_s=st.integers(0, 9),
)
def test_each_time_fires_once_or_is_missed_however_one_looks(
    looks: list[int], misfire: Misfire, jitter_s: int
) -> None:
    now_ms, tick = 0, 10_000
    fired: list[int] = []
    missed = 0

    for pause_ms in looks:
        now_ms += pause_ms
        while due_ms(tick, invoke_id=ID, jitter_s=jitter_s) <= now_ms:
            found = planned(tick, now_ms, misfire, jitter_s)
            assert found.next_tick_ms is not None
            assert found.next_tick_ms > tick
            if found.why is Why.TICK:
                fired.append(found.at_ms)
            missed += found.missed
            tick = found.next_tick_ms

    assert sorted(set(fired)) == fired
    over = (tick - 10_000) // 10_000
    if misfire is Misfire.SKIP:
        assert len(fired) + missed == over
    else:
        assert len(fired) + missed <= over
