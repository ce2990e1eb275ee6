"""Read the helper's answers: lines `CA1 NONCE key=value … out=N`, each followed by N raw bytes (PROTOCOL.md).

The bytes come from a host and are judged strictly: every length is bounded, every value checked when asked
for. What comes before the first answer (a profile that prints, a banner) is noise; its start is kept for the
error text of a host that never answers. Nothing here does I/O.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from cloudassist_tasks.ports.transport import HostState

__all__ = ["Frame", "FrameReader", "Garbled"]

MAX_LINE_BYTES = 4096
MAX_OUT_BYTES = 64 * 1024
MAX_NOISE_BYTES = 64 * 1024
KEPT_NOISE_BYTES = 200

_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
_NUMBER = re.compile(r"[0-9]{1,15}")
_BOOT_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class Garbled(ValueError):
    """What arrived is not the helper's protocol. Says what was expected; quotes no output."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One answer line and its bytes. Values are decoded and not yet trusted: read them by its methods."""

    values: Mapping[str, str]
    data: bytes = b""

    @property
    def more(self) -> bool:
        """Another frame of this answer follows."""
        return self.values.get("more") == "1"

    def text(self, key: str) -> str:
        """A value, empty if it is not there."""
        return self.values.get(key, "")

    def flag(self, key: str) -> bool:
        return self.values.get(key) == "1"

    def number(self, key: str, otherwise: int | None = None) -> int:
        """A value that must be a number of at most 15 digits; `otherwise` if it is not there."""
        value = self.values.get(key, "")
        if not value and otherwise is not None:
            return otherwise
        if not _NUMBER.fullmatch(value):
            raise Garbled(f"{key}= is not a number")
        return int(value)

    @property
    def state(self) -> HostState:
        try:
            return HostState(self.text("state"))
        except ValueError:
            raise Garbled("state= is none that we know") from None

    @property
    def boot_id(self) -> str:
        value = self.text("boot")
        if not _BOOT_ID.fullmatch(value):
            raise Garbled("boot= is not a boot id")
        return value

    def ago_ms(self, key: str) -> int:
        """How long before this answer the moment `key` was; both are on the host's monotonic clock."""
        return max(0, self.number("now_cs") - self.number(key)) * 10


class FrameReader:
    """Turns the bytes of a channel into frames, in order, however they were cut."""

    def __init__(self, nonce: str) -> None:
        self._mark = f"CA1 {nonce} ".encode("ascii")
        self._buffer = bytearray()
        self._answered = False
        self._noise = bytearray()
        self._noise_bytes = 0

    @property
    def noise(self) -> str:
        """The start of what came in place of the first answer, fit to be shown."""
        seen = bytes(self._noise if self._answered else (self._noise + self._buffer)[:KEPT_NOISE_BYTES])
        text = seen.decode("utf-8", errors="replace")
        return "".join(char if char.isprintable() else " " for char in text).strip()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now. Garbled once the stream cannot be the helper's."""
        self._buffer += data
        if not self._answered and not self._skip_noise():
            return []
        frames = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        return frames

    def _skip_noise(self) -> bool:
        start = self._buffer.find(self._mark)
        self._answered = start >= 0
        drop = start if self._answered else max(0, len(self._buffer) - len(self._mark) + 1)
        self._noise += self._buffer[: min(drop, KEPT_NOISE_BYTES - len(self._noise))]
        self._noise_bytes += drop
        del self._buffer[:drop]
        if self._noise_bytes > MAX_NOISE_BYTES:
            raise Garbled(f"no answer within the first {MAX_NOISE_BYTES} bytes")
        return self._answered

    def _take(self) -> Frame | None:
        if not self._mark.startswith(bytes(self._buffer[: len(self._mark)])):
            raise Garbled("an answer does not begin where the one before it ended")
        end = self._buffer.find(b"\n", 0, MAX_LINE_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_LINE_BYTES:
                raise Garbled(f"an answer's line is longer than {MAX_LINE_BYTES} bytes")
            return None
        values = _parse(bytes(self._buffer[len(self._mark) : end]))
        out = Frame(values).number("out")
        if out > MAX_OUT_BYTES:
            raise Garbled(f"out= is more than {MAX_OUT_BYTES}")
        if len(self._buffer) < end + 1 + out:
            return None
        data = bytes(self._buffer[end + 1 : end + 1 + out])
        del self._buffer[: end + 1 + out]
        return Frame(values, data)


def _parse(line: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in line.split(b" "):
        key, equals, value = word.partition(b"=")
        if not word:
            continue
        name = key.decode("ascii", errors="replace")
        if not equals or not _KEY.fullmatch(name):
            raise Garbled("an answer holds a word that is not key=value")
        values[name] = unquote(value.decode("ascii", errors="replace"))
    return values
