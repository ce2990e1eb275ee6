"""Counts while an invocation goes: live on a terminal, now and then a line where there is none."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from cloudassist_tasks.cli.render import COLOURS, note, progress_console
from cloudassist_tasks.contract.extensions import InvocationState
from cloudassist_tasks.domain.status import RunStatus

__all__ = ["Progress", "counts_text"]

LINE_EVERY_S = 5.0
"""Between two lines where there is no terminal."""


def counts_text(counts: Mapping[str, int]) -> str:
    """`3 Running, 117 Success`, in the order in which runs pass through them."""
    shown = [status.value for status in RunStatus if counts.get(status.value)]
    return ", ".join(f"{counts[name]:,} {name}" for name in shown)


class Progress:
    """Shows states on standard error between `with` and its end."""

    def __init__(self, *, live: bool = True) -> None:
        self.may_be_live = live
        self.began = time.monotonic()
        self.live: Live | None = None
        self.spinner = Spinner("dots")
        self.last_line = ""
        self.last_at = self.began

    def __enter__(self) -> Self:
        if self.may_be_live and sys.stderr.isatty():
            self.live = Live(
                console=progress_console(), refresh_per_second=8, transient=True, redirect_stdout=False
            )
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    async def show(self, state: InvocationState) -> None:
        """Where the invocation is now."""
        if self.live is not None:
            self.spinner.update(text=self._counters(state))
            self.live.update(self.spinner)
        else:
            self._line(state)

    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    def _counters(self, state: InvocationState) -> Text:
        text = Text(f"{state.invoke_id}  {state.ended:,}/{state.total:,} ended  ")
        for status in RunStatus:
            if number := state.counts.get(status.value):
                text.append(f"{number:,} {status.value}  ", style=COLOURS.get(status.value, ""))
        return text.append(f"{self.elapsed_s():.0f} s", style="dim")

    def _line(self, state: InvocationState) -> None:
        now = time.monotonic()
        line = f"{state.invoke_id}: {counts_text(state.counts)}"
        if not state.closed and line != self.last_line and now - self.last_at >= LINE_EVERY_S:
            note(line)
            self.last_line, self.last_at = line, now
