"""Follow a run on its open channel: output as it comes, the end at once.

Called with an attachment that has been begun or re-attached. No task or thread of its own: the caller's
coroutine waits for the next event, and is cut short when it is to let go.
"""

import asyncio
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.worker import Carried, LetGo, Worker
from cloudassist_tasks.ports.runs import Moved
from cloudassist_tasks.ports.transport import Attachment, Ended, HostResult, Output, Started

FLUSH_EVERY_S = 0.5
"""Output is stored at most so often, and at the latest so long after it came."""

END_MAY_FOLLOW_S = 0.05
"""A short run's output and its end arrive together: the end stores both, in one step."""

LOOK_AGAIN_LEAST_S = 2
LOOK_AGAIN_MOST_S = 60


@dataclass(slots=True)
class LettingGo(Exception):
    """Stop carrying; the run goes on, or waits for its next delivery."""

    why: LetGo
    look_in_s: float = 0


def look_again_in_s(age_s: float) -> float:
    """When to look again at a run that nobody follows: a tenth of its age."""
    return min(max(age_s / 10, LOOK_AGAIN_LEAST_S), LOOK_AGAIN_MOST_S)


class Follower:
    """What is known of a run while it is followed: its output so far, and an end heard of elsewhere."""

    def __init__(self, worker: Worker, carried: Carried, output: BoundedOutput) -> None:
        self.worker = worker
        self.plane: Plane = worker.plane
        self.carried = carried
        self.output = output
        self.launched_ms = 0
        self.start_ms = 0
        """When the script started, once that was heard."""
        self._start_untold = False
        self.reported: HostResult | None = None
        self._flushed_at = float("-inf")
        self._flush_due: asyncio.TimerHandle | None = None

    async def follow(self, attachment: Attachment) -> HostResult:
        """The run's result. `LostContact` if the channel breaks, `LettingGo` if it is not ours any longer."""
        loop = asyncio.get_running_loop()
        try:
            until = self.carried.begun + self.plane.limits.follow_max_s
            async with asyncio.timeout_at(max(until, loop.time() + 1)) as self.carried.wait:
                if self.carried.let_go is not None:
                    raise LettingGo(self.carried.let_go)
                if self.reported is not None:
                    self.hear_end(self.reported)
                async for event in attachment.events():
                    match event:
                        case Started(ago_ms=ago_ms):
                            await self._started(ago_ms)
                        case Output(offset=offset, data=data):
                            self.output.add(offset, data)
                            self._tell_soon()
                        case Ended(result=result):
                            return result
        except TimeoutError:
            if self.reported is not None:
                return self.reported
            age_s = (self.plane.clock.now_ms() - self.launched_ms) / 1_000
            raise LettingGo(self.carried.let_go or LetGo.LONG, look_again_in_s(age_s)) from None
        finally:
            self.carried.wait = None
            if self._flush_due is not None:
                self._flush_due.cancel()
        raise AssertionError("events end with Ended")

    def hear_end(self, result: HostResult, *, within_s: float = 2) -> None:
        """A stop has verified the end on another channel; ours says the same soon, or is broken."""
        self.reported = result
        if self.carried.wait is not None and not self.carried.wait.expired():
            self.carried.wait.reschedule(asyncio.get_running_loop().time() + within_s)

    async def _started(self, ago_ms: int) -> None:
        self.start_ms = self.plane.clock.now_ms() - ago_ms
        self._start_untold = True
        try:
            await self._tell_start()
        except Broken:
            self._tell_soon()

    async def _tell_start(self) -> None:
        runs, now_ms = self.plane.store.runs, self.plane.clock.now_ms()
        moved = await runs.started(self.carried.held, start_ms=self.start_ms, now_ms=now_ms)
        self._start_untold = False
        self._heed(moved)

    def _tell_soon(self) -> None:
        """Store what is known soon, unless the end comes first and brings it along."""
        if self._flush_due is None:
            loop = asyncio.get_running_loop()
            due = max(self._flushed_at + FLUSH_EVERY_S, loop.time() + END_MAY_FOLLOW_S)
            self._flush_due = loop.call_at(due, lambda: self.worker.spawn(self._flush()))

    async def _flush(self) -> None:
        self._flushed_at = asyncio.get_running_loop().time()
        if self._flush_due is not None:
            self._flush_due.cancel()
            self._flush_due = None
        runs, now_ms = self.plane.store.runs, self.plane.clock.now_ms()
        try:
            self._heed(await runs.record_output(self.carried.held, self.output, now_ms=now_ms))
            if self._start_untold:
                await self._tell_start()
        except Broken:
            if self.carried.wait is not None:  # there may be no next output for a long time
                self._tell_soon()

    def _heed(self, moved: Moved) -> None:
        """What the store says of the run while we follow it."""
        if moved.stale:
            self.carried.ask_let_go(LetGo.BURIED)
        elif moved.stop_requested:
            self.carried.ask_stop()
