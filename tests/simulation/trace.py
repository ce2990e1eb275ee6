"""What happened, in order: virtual time, who, what. Its hash tells two courses of events apart."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator

KEPT = 200_000
"""Lines; older ones go, and stay in the hash."""


class Trace:
    """Written by everything that happens outside the engine: the server, the network, hosts, faults."""

    def __init__(self, now_s: Callable[[], float], *, keep: int = KEPT) -> None:
        self._now_s = now_s
        self._lines: deque[tuple[float, str, str, tuple[object, ...]]] = deque(maxlen=keep)
        self._hash = hashlib.blake2b(digest_size=8)
        self.count = 0

    def note(self, who: str, what: str, *facts: object) -> None:
        """One line."""
        line = (round(self._now_s(), 6), who, what, facts)
        self.count += 1
        self._lines.append(line)
        self._hash.update(repr(line).encode())

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()

    def about(self, *words: str) -> Iterator[str]:
        """The lines that name one of these; all without any."""
        for at, who, what, facts in self._lines:
            text = f"{at:11.4f} {who:12} {what} {' '.join(map(str, facts))}"
            if not words or any(word in text for word in words):
                yield text
