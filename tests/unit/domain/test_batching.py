"""Batches, and the window through which they are published."""

from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.batching import batches, next_batch


def test_120_runs_are_three_batches() -> None:
    assert [range(50), range(50, 100), range(100, 120)] == batches(120, 50)


@given(st.integers(0, 5_000), st.integers(1, 120))
def test_batches_hold_every_run_once_and_only_the_last_is_smaller(total: int, size: int) -> None:
    found = batches(total, size)

    assert list(range(total)) == [position for batch in found for position in batch]
    assert all(size == len(batch) for batch in found[:-1])
    assert all(0 < len(batch) <= size for batch in found)


def test_a_small_invocation_is_published_at_once() -> None:
    assert range(3) == next_batch(published=0, total=3, unclaimed=0, window=200, low=150, size=50)


def test_the_claim_that_leaves_fewer_than_the_low_mark_publishes_the_next_batch() -> None:
    wanted = next_batch(published=200, total=1_000, unclaimed=149, window=200, low=150, size=50)

    assert range(200, 250) == wanted


def test_a_full_window_publishes_nothing() -> None:
    assert not next_batch(published=200, total=1_000, unclaimed=150, window=200, low=150, size=50)


def test_nothing_is_left_to_publish_after_the_last_run() -> None:
    assert not next_batch(published=120, total=120, unclaimed=0, window=200, low=150, size=50)


@given(
    total=st.integers(1, 2_000),
    size=st.integers(1, 60),
    low=st.integers(1, 150),
    spare=st.integers(-1, 50),
    data=st.data(),
)
def test_any_order_of_claims_publishes_every_run_once_and_never_more_than_the_window(
    total: int, size: int, low: int, spare: int, data: st.DataObject
) -> None:
    window = low + size + spare
    published = unclaimed = 0
    positions: list[int] = []

    while True:
        while batch := next_batch(
            published=published, total=total, unclaimed=unclaimed, window=window, low=low, size=size
        ):
            positions.extend(batch)
            published, unclaimed = batch.stop, unclaimed + len(batch)
            assert unclaimed <= window
            assert len(batch) in (size, total - batch.start)
        if not unclaimed:
            break
        unclaimed -= data.draw(st.integers(1, unclaimed))

    assert list(range(total)) == positions
