"""Sets of invocations as whole numbers: bit n stands for the n-th after the first.

What `lua/pieces/marks.lua` writes is read here; filters are then `&`, `|` and `~`, counts are `bit_count`.
A hundred thousand invocations are a number of 12 KB, and one operation on two of those takes about a
microsecond. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

CHUNK_BITS = 512
CHUNK_BYTES = CHUNK_BITS // 8


@dataclass(frozen=True, slots=True)
class Span:
    """The chunks that a reading is about."""

    first: int
    count: int

    @classmethod
    def of(cls, marks: Mapping[bytes, bytes]) -> "Span":
        """Those in which anything is marked."""
        chunks = [int(chunk) for chunk in marks]
        return cls(min(chunks), max(chunks) - min(chunks) + 1) if chunks else cls(0, 0)

    def bits(self, marks: Mapping[bytes, bytes]) -> int:
        """What is marked within the span; the rest is left out."""
        flat = bytearray(self.count * CHUNK_BYTES)
        for chunk, part in marks.items():
            at = (int(chunk) - self.first) * CHUNK_BYTES
            if 0 <= at < len(flat):
                flat[at : at + len(part)] = part
        return int.from_bytes(flat, "little")

    def number(self, bit: int) -> int:
        """The number that a bit stands for."""
        return self.first * CHUNK_BITS + bit

    def bit(self, number: int) -> int:
        """The bit that stands for a number; negative if it comes before the span."""
        return number - self.first * CHUNK_BITS


def below(bits: int, bit: int) -> int:
    """Those before `bit`."""
    return bits & ((1 << bit) - 1) if bit > 0 else 0


def highest(bits: int) -> Iterator[int]:
    """The bits that are set, highest first."""
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    for at in range(len(data) - 1, -1, -1):
        byte = data[at]
        while byte:
            top = byte.bit_length() - 1
            yield at * 8 + top
            byte ^= 1 << top


def lowest(bits: int, behind: int = 0) -> Iterator[int]:
    """The bits that are set, from `behind` on, lowest first."""
    data = (bits >> behind).to_bytes((bits.bit_length() + 7) // 8, "little")
    for at, byte in enumerate(data):
        while byte:
            low = byte & -byte
            yield behind + at * 8 + low.bit_length() - 1
            byte ^= low


def in_server_order(data: bytes) -> int:
    """The bits of a text that SETBIT has written: there the first of a byte is its highest."""
    return int.from_bytes(data.translate(_MIRRORED), "little")


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def without_highest(bits: int, count: int) -> int:
    """Without the `count` highest."""
    if count <= 0:
        return bits
    if count >= bits.bit_count():
        return 0
    low, high = 0, bits.bit_length()  # as many as `count` or more are set from `low` on, fewer from `high` on
    while high - low > 1:
        middle = (low + high) // 2
        if (bits >> middle).bit_count() >= count:
            low = middle
        else:
            high = middle
    return below(bits, low)


def classes(universe: int, marks: Sequence[int]) -> dict[int, int]:
    """The universe split by which of `marks` hold: which ones (as bits, by place) → those for which exactly
    these hold. Classes without a member are left out."""
    parts = {0: universe}
    for place, bits in enumerate(marks):
        split: dict[int, int] = {}
        for which, members in parts.items():
            inside = members & bits
            if inside:
                split[which | 1 << place] = inside
            if inside != members:
                split[which] = members ^ inside
        parts = split
    return parts
