"""How many runs invocations have together: sums over sets of bits, without looking at any of them.

How many runs of an invocation ended in a state is marked at its close by the powers of two that the number
is made of, each a set of bits like all others; how many members it has likewise, at its opening. A sum over
any set is then a handful of bit counts. The few open invocations are counted one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.status import FINAL, OPEN, RunStatus
from cloudassist_tasks.ports.listing import ANY_STATUS, RunPlace
from cloudassist_tasks.store import facets
from cloudassist_tasks.store.bits import CHUNK_BITS, Span
from cloudassist_tasks.store.reading import Found, Reading

Weights = Sequence[tuple[int, int]]
"""Pairs of a weight and the bits that it counts for."""


def marks_to_count(statuses: frozenset[RunStatus]) -> Sequence[str]:
    """What must be read besides the states."""
    if statuses == ANY_STATUS:
        return facets.MORE_MEMBERS
    return [mark for status in statuses & FINAL for mark in facets.of_more_in(status)]


def members_of(reading: Reading, found: Found) -> Weights:
    """All of their runs."""
    more = [(1 << power, found.bits & reading.bits(mark)) for power, mark in enumerate(facets.MORE_MEMBERS)]
    return [(1, found.bits), *more]


def ended_in(reading: Reading, found: Found, statuses: frozenset[RunStatus]) -> Weights:
    """The runs of the closed ones among them that ended so."""
    closed = found.bits & ~still_open(reading, found)
    weights = []
    for status in statuses & FINAL:
        weights.append((1, closed & reading.bits(facets.of_status(status))))
        for power, mark in enumerate(facets.of_more_in(status)):
            weights.append((1 << power, closed & reading.bits(mark)))
    return weights


def still_open(reading: Reading, found: Found) -> int:
    """Those of them that have a run which is not final."""
    return found.bits & reading.any_of(facets.of_status(status) for status in OPEN)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many runs each invocation has."""

    span: Span
    weights: Weights
    single: Mapping[int, int]
    """By bit: those that are counted one by one."""

    def place(self, skip: int) -> RunPlace:
        """Where the run behind the first `skip` is."""
        total = self._from(0)
        if skip >= total:
            return RunPlace(total=total, cursor="0")
        low, high = 0, self.span.count * CHUNK_BITS  # more than `skip` from `low` on, not more from `high` on
        while high - low > 1:
            middle = (low + high) // 2
            if self._from(middle) > skip:
                low = middle
            else:
                high = middle
        return RunPlace(total=total, cursor=str(self.span.number(high)), offset=skip - self._from(high))

    def _from(self, bit: int) -> int:
        """How many runs the invocations from that bit on have."""
        return sum(weight * (bits >> bit).bit_count() for weight, bits in self.weights if bits) + sum(
            count for at, count in self.single.items() if at >= bit
        )
