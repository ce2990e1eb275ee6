"""Which boot came after something was asked for."""

import pytest

from cloudassist_tasks.domain.boot import Boot, KnownBoot, began_after

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("up_ms", "is_after"), [(1_000, True), (9_999, True), (10_000, False), (HOUR_MS, False)]
)
def test_a_boot_counts_if_it_came_after_the_request(up_ms: int, is_after: bool) -> None:
    now_ms, asked_ms = 100 * HOUR_MS, 100 * HOUR_MS - 10_000

    assert began_after(Boot(id="b", up_ms=up_ms), asked_ms, now_ms=now_ms) is is_after


def test_a_boot_of_long_before_the_request_does_not_count_whatever_was_seen_before_it() -> None:
    long_up = Boot(id="b", up_ms=48 * HOUR_MS)

    after = began_after(
        long_up, 99 * HOUR_MS, now_ms=100 * HOUR_MS, earlier_id="a", earlier_seen_ms=20 * HOUR_MS
    )

    assert not after


def test_a_host_that_claims_to_have_been_up_in_its_last_boot_already_is_not_believed() -> None:
    long_up = Boot(id="b", up_ms=48 * HOUR_MS)
    seen = {"now_ms": 100 * HOUR_MS, "earlier_seen_ms": 60 * HOUR_MS}

    assert began_after(long_up, 99 * HOUR_MS, earlier_id="a", **seen)
    assert not began_after(long_up, 99 * HOUR_MS, earlier_id="b", **seen)


def test_what_is_known_of_a_boot_is_an_id_or_since_when_one_is_waited_for() -> None:
    seen, added, opened, of_before = (KnownBoot(word=word) for word in ("0f-9c", "@1234", "", "-"))

    assert [one.id for one in (seen, added, opened, of_before)] == ["0f-9c", "", "", ""]
    assert [one.asked_ms(99) for one in (seen, added, opened, of_before)] == [99, 1234, 99, 99]
