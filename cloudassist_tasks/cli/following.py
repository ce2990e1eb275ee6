"""Which part of a bounded output is new since the last look, for `logs -f`."""

from dataclasses import dataclass

from cloudassist_tasks.contract.extensions import RunState
from cloudassist_tasks.domain.output import HEAD_BYTES

__all__ = ["Followed"]

BROKEN = "\ufffd"


@dataclass(slots=True)
class Followed:
    """One run's output as far as it has been printed."""

    round: int = 0
    """Of a schedule: the round that the run is of."""
    printed: str = ""
    """What was printed while nothing was dropped."""
    seen_bytes: int = 0

    def news(self, run: RunState, head_bytes: int = HEAD_BYTES) -> str:
        """The text that came since; a gap is told where more came than is kept."""
        if run.dropped:
            return self._news_of_tail(run, head_bytes)
        whole = run.output if run.ended else run.output.rstrip(BROKEN)  # a character may be half there
        news = whole[len(self.printed) :]
        self.printed, self.seen_bytes = whole, len(whole.encode())
        return news

    def _news_of_tail(self, run: RunState, head_bytes: int) -> str:
        """The middle is gone. What is kept of the end begins at `output_bytes` less its length."""
        kept = run.output.encode()
        fresh = run.output_bytes - self.seen_bytes
        tail = len(kept) - head_bytes
        if fresh <= 0:
            return ""
        if fresh <= tail:
            text = kept[-fresh:].decode(errors="ignore")
        elif self.seen_bytes >= head_bytes:
            text = _gap(fresh - tail) + kept[head_bytes:].decode(errors="ignore")
        else:
            head = kept[self.seen_bytes : head_bytes].decode(errors="ignore")
            text = head + _gap(run.dropped) + kept[head_bytes:].decode(errors="ignore")
        self.seen_bytes = run.output_bytes
        return text


def _gap(missing: int) -> str:
    return f"\n[{missing:,} bytes were not kept]\n"
