"""What simulated scripts print: no two runs the same, and no two places of one, so that a piece that is lost,
doubled, moved or another run's is seen in what is kept."""

from cloudassist_tasks.domain.output import BoundedOutput


def printed(run_id: str, size: int) -> bytes:
    """All that this run prints, which are so many bytes."""
    line = len(f"{run_id} 000000\n")
    lines = (f"{run_id} {number:06d}\n" for number in range(size // line + 1))
    return "".join(lines).encode()[:size]


def is_whole(kept: BoundedOutput, printed_: bytes) -> bool:
    """Whether it is exactly what must be kept of this."""
    whole = BoundedOutput()
    whole.add(0, printed_)
    return (kept.head, kept.tail, kept.total) == (whole.head, whole.tail, whole.total)


def is_part(kept: BoundedOutput, printed_: bytes) -> bool:
    """Whether it is of this, in order, if not all of it: the host that had the rest has lost it."""
    behind = printed_[len(kept.head) :]
    return printed_.startswith(kept.head) and kept.tail in behind and kept.total <= len(printed_)
