"""What time it is: the store's time, so that workers on skewed machines agree."""

from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since the epoch by the store's clock. Cheap, never waits."""
