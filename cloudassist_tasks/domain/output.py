"""The output of a run, bounded: its head and its tail are kept, the middle is dropped and counted.

Filled by whoever follows a run, from pieces with offsets: pieces may be sent again (after a lost
connection) and may leave a gap (the host has dropped the middle itself). Its three parts are what the
store keeps, so another worker goes on exactly where the last one stopped.
"""

from dataclasses import dataclass

HEAD_BYTES = 6_144
"""How much of the beginning is kept. With `TAIL_BYTES`: 24 KiB. Source: DescribeInvocationResults, Output."""

TAIL_BYTES = 18_432
"""How much of the end is kept."""


@dataclass(slots=True, kw_only=True)
class BoundedOutput:
    """Head and tail of a stream of bytes, exact; `head`, `tail` and `total` restore it."""

    head: bytes = b""
    """The first bytes, without a gap."""
    tail: bytes = b""
    """The last bytes of what was seen behind the head, without a gap."""
    total: int = 0
    """Length of the stream so far, kept or not: the offset from which to go on."""
    head_limit: int = HEAD_BYTES
    tail_limit: int = TAIL_BYTES

    def add(self, offset: int, data: bytes) -> None:
        """Take a piece of the stream that begins at `offset`. What was seen before is ignored."""
        fresh = data[max(0, self.total - offset) :]
        if not fresh:
            return
        start = max(offset, self.total)
        gapless = start == self.total
        if gapless and self.total == len(self.head):  # no gap so far, and nothing in the tail
            room = self.head_limit - len(self.head)
            self.head += fresh[:room]
            self._extend_tail(fresh[room:])
        elif gapless:
            self._extend_tail(fresh)
        else:
            self.tail = b""
            self._extend_tail(fresh)
        self.total = start + len(fresh)

    def ended_at(self, total: int) -> None:
        """The stream has ended with this length; bytes that never came count as dropped. Nothing is added
        afterwards."""
        self.total = max(self.total, total)

    @property
    def dropped(self) -> int:
        """How many bytes of the middle are not kept."""
        return self.total - len(self.head) - len(self.tail)

    def kept(self) -> bytes:
        """Head and tail; the whole stream where nothing was dropped."""
        return self.head + self.tail

    def text(self) -> str:
        """As `kept`, decoded; a character that was cut where the middle is missing leaves no trace."""
        if not self.dropped:
            return decode_output(self.kept())
        return decode_output(_without_cut_end(self.head)) + decode_output(_without_cut_start(self.tail))

    def _extend_tail(self, data: bytes) -> None:
        if data and self.tail_limit:
            self.tail = (self.tail + data)[-self.tail_limit :]


def decode_output(data: bytes) -> str:
    """As UTF-8; each broken byte becomes U+FFFD. Instances write what they like."""
    return data.decode("utf-8", errors="replace")


def _without_cut_start(data: bytes) -> bytes:
    """Without the up to three continuation bytes of a character whose beginning is missing."""
    cut = 0
    while cut < min(3, len(data)) and data[cut] & 0xC0 == 0x80:
        cut += 1
    return data[cut:]


def _without_cut_end(data: bytes) -> bytes:
    """Without the beginning of a character whose rest is missing."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if length > back else data
    return data
