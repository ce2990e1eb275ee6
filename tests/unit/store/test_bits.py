"""Sets as numbers, and names in texts: against the same said with plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.store.bits import (
    CHUNK_BITS,
    Span,
    below,
    classes,
    highest,
    in_server_order,
    lowest,
    without_highest,
)
from cloudassist_tasks.store.names import numbers_named

SETS = st.sets(st.integers(0, 2_000))

NAMES = st.text("ab*[.\\ é\n", max_size=8).map(lambda text: text.replace("\n", ""))


def number(bits: set[int]) -> int:
    return sum(1 << bit for bit in bits)


@given(SETS, st.integers(-3, 2_100), st.integers(-1, 2_100))
def test_sets_of_bits_are_cut_and_read_from_the_top(bits: set[int], at: int, count: int) -> None:
    whole = number(bits)

    assert list(highest(whole)) == sorted(bits, reverse=True)
    assert set(highest(below(whole, at))) == {bit for bit in bits if bit < at}
    assert list(lowest(whole, max(at, 0))) == sorted(bit for bit in bits if bit >= at)
    assert list(highest(without_highest(whole, count))) == sorted(bits, reverse=True)[max(count, 0) :]


@given(SETS, st.lists(SETS, max_size=5))
def test_a_set_is_split_by_which_marks_hold(universe: set[int], marks: list[set[int]]) -> None:
    parts = classes(number(universe), [number(mark) for mark in marks])

    expected: dict[int, set[int]] = {}
    for bit in universe:
        which = sum(1 << place for place, mark in enumerate(marks) if bit in mark)
        expected.setdefault(which, set()).add(bit)
    assert parts == {which: number(members) for which, members in expected.items()} or not universe


def test_a_span_leaves_out_what_is_marked_outside_of_it() -> None:
    span = Span.of({b"3": b"\x01", b"5": b"\x00\x80"})

    bits = span.bits({b"2": b"\xff", b"3": b"\x02", b"5": b"\x01", b"6": b"\xff"})

    assert span == Span(3, 3)
    assert [span.number(bit) for bit in highest(bits)] == [5 * CHUNK_BITS, 3 * CHUNK_BITS + 1]
    assert span.bit(3 * CHUNK_BITS - 1) == -1


@given(st.lists(NAMES.filter(bool), max_size=6), NAMES.filter(lambda text: bool(text.strip("*"))))
def test_a_pattern_finds_the_same_names_in_a_text_as_one_by_one(names: list[str], pattern: str) -> None:
    lines = "".join(f"{number} {name}\n" for number, name in enumerate(names)).encode()

    assert numbers_named(lines, pattern) == [
        number for number, name in enumerate(names) if matches(pattern, name)
    ]


def test_a_pattern_of_many_parts_takes_linear_time() -> None:
    lines = b"1 " + b"a" * 20_000 + b"\n"

    assert numbers_named(lines, "*a" * 200 + "*b") == []


def test_bits_of_the_server_s_own_begin_with_the_highest_of_a_byte() -> None:
    assert set(highest(in_server_order(b"\x80\x00\x41"))) == {0, 17, 23}
