"""What is new of a bounded output since the last look."""

from cloudassist_tasks.cli.following import Followed
from cloudassist_tasks.contract.extensions import RunState
from cloudassist_tasks.domain.output import BoundedOutput


def seen(output: BoundedOutput, *, ended: bool = False) -> RunState:
    return RunState(
        instance_id="i-1",
        invocation_status="Success" if ended else "Running",
        instance_invoke_status="Finished" if ended else "Running",
        output=output.text(),
        output_bytes=output.total,
        dropped=output.dropped,
        ended=ended,
    )


def test_each_piece_is_printed_once() -> None:
    output, followed = BoundedOutput(), Followed()
    told = []
    for piece in (b"one\n", b"", b"two\nthr", b"ee\n"):
        output.add(output.total, piece)
        told.append(followed.news(seen(output)))

    assert told == ["one\n", "", "two\nthr", "ee\n"]


def test_a_character_that_is_half_there_is_printed_when_it_is_whole() -> None:
    output, followed = BoundedOutput(), Followed()
    whole = "é".encode()

    output.add(0, b"caf" + whole[:1])
    first = followed.news(seen(output))
    output.add(output.total, whole[1:])

    assert (first, followed.news(seen(output))) == ("caf", "é")


def test_output_beyond_what_is_kept_goes_on_without_repeating() -> None:
    output, followed = BoundedOutput(), Followed()
    told = ""
    lines = [f"{number:05}\n".encode() for number in range(10_000)]
    for start in range(0, len(lines), 500):
        for line in lines[start : start + 500]:
            output.add(output.total, line)
        told += followed.news(seen(output))

    assert told == b"".join(lines).decode()


def test_a_gap_is_told_where_more_came_than_is_kept() -> None:
    output, followed = BoundedOutput(), Followed()
    output.add(0, b"begin\n")
    followed.news(seen(output))

    output.add(output.total, b"x" * 100_000 + b"\nend\n")
    told = followed.news(seen(output, ended=True))

    assert f"[{output.dropped:,} bytes were not kept]" in told
    assert told.endswith("x\nend\n")
    assert not told.startswith("begin")
