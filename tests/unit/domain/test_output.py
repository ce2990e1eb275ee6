"""The bounded output, against the plain stream."""

from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.output import BoundedOutput, decode_output

LIMITS = st.integers(0, 12)


@st.composite
def deliveries(draw: st.DrawFn, stream: bytes) -> list[tuple[int, bytes]]:
    """Pieces that cover the stream in order, each perhaps beginning before what was already sent, and
    pieces sent again at any moment."""
    pieces: list[tuple[int, bytes]] = []
    reached = 0
    while reached < len(stream):
        start = draw(st.integers(0, reached))
        end = draw(st.integers(start, len(stream)))
        pieces.append((start, stream[start:end]))
        reached = max(reached, end)
    return pieces


@given(stream=st.binary(max_size=60), head=LIMITS, tail=LIMITS, data=st.data())
def test_any_split_and_overlap_keeps_head_and_tail_byte_exact(
    stream: bytes, head: int, tail: int, data: st.DataObject
) -> None:
    output = BoundedOutput(head_limit=head, tail_limit=tail)

    for offset, piece in data.draw(deliveries(stream)):
        output.add(offset, piece)

    behind_the_head = stream[head:]
    assert stream[:head] == output.head
    assert behind_the_head[max(0, len(behind_the_head) - tail) :] == output.tail
    assert len(stream) == output.total
    assert len(stream) - len(output.kept()) == output.dropped


@given(stream=st.binary(max_size=60), head=LIMITS, tail=LIMITS, data=st.data())
def test_another_worker_goes_on_from_the_stored_parts(
    stream: bytes, head: int, tail: int, data: st.DataObject
) -> None:
    straight = BoundedOutput(head_limit=head, tail_limit=tail)
    handed_on = BoundedOutput(head_limit=head, tail_limit=tail)

    for offset, piece in data.draw(deliveries(stream)):
        straight.add(offset, piece)
        handed_on.add(offset, piece)
        handed_on = BoundedOutput(
            head=handed_on.head,
            tail=handed_on.tail,
            total=handed_on.total,
            head_limit=head,
            tail_limit=tail,
        )

    assert straight == handed_on


@given(stream=st.binary(min_size=30, max_size=90), data=st.data())
def test_a_middle_that_the_host_has_dropped_is_counted(stream: bytes, data: st.DataObject) -> None:
    head, tail = 5, 7
    seen_until = data.draw(st.integers(head, len(stream) - tail))
    goes_on_at = data.draw(st.integers(seen_until, len(stream) - tail))
    output = BoundedOutput(head_limit=head, tail_limit=tail)

    output.add(0, stream[:seen_until])
    output.add(goes_on_at, stream[goes_on_at:])

    assert stream[:head] == output.head
    assert stream[-tail:] == output.tail
    assert len(stream) - head - tail == output.dropped


def test_a_gap_inside_the_head_closes_the_head() -> None:
    output = BoundedOutput(head_limit=6, tail_limit=6)

    output.add(0, b"abc")
    output.add(5, b"fg")
    output.add(7, b"h")

    assert output.head == b"abc"
    assert output.tail == b"fgh"
    assert output.total == 8
    assert output.dropped == 2


def test_nothing_stored_before_a_gap_is_joined_to_what_comes_after_it() -> None:
    output = BoundedOutput(head_limit=2, tail_limit=6)

    output.add(0, b"abcd")
    output.add(6, b"gh")

    assert output.tail == b"gh"
    assert output.dropped == 4


def test_bytes_that_never_came_count_as_dropped() -> None:
    output = BoundedOutput()
    output.add(0, b"first")

    output.ended_at(100)
    output.ended_at(3)

    assert output.total == 100
    assert output.dropped == 95


def test_an_output_within_the_limits_is_whole() -> None:
    output = BoundedOutput()

    output.add(0, b"x" * 24_576)

    assert output.dropped == 0
    assert output.kept() == b"x" * 24_576
    output.add(24_576, b"y")
    assert output.dropped == 1


@given(st.text(max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_a_cut_through_characters_leaves_no_garbage(text: str, head: int, tail: int) -> None:
    stream = text.encode()
    output = BoundedOutput(head_limit=head, tail_limit=tail)
    output.add(0, stream)

    shown = output.text()

    assert text.count("\ufffd") >= shown.count("\ufffd")
    if not output.dropped:
        assert text == shown


def test_a_cut_inside_broken_text_is_shown_as_broken() -> None:
    output = BoundedOutput(head_limit=3, tail_limit=4)

    output.add(0, b"a\x80\x80" + b"-----" + b"\x80\x80\x80\x80")

    assert output.text() == "a\ufffd\ufffd\ufffd"


def test_continuation_bytes_alone_do_not_end_the_search() -> None:
    output = BoundedOutput(head_limit=3, tail_limit=0)

    output.add(0, b"\x80\x80\x80-----")

    assert output.text() == "\ufffd" * 3


def test_broken_bytes_are_replaced() -> None:
    assert decode_output(b"caf\xe9\x00!") == "caf\ufffd\x00!"
