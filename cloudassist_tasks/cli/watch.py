"""Look at an invocation until it ends: its counts, its runs as they end, its output as it comes.

The client does the work; here a store that is away for a moment does not end the looking, and output is
followed. Counts cost the same for any number of instances; runs are read in pages.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from cloudassist_tasks.cli.errors import OperationFailed
from cloudassist_tasks.cli.render import note
from cloudassist_tasks.cli.session import Session
from cloudassist_tasks.client.hints import Hints
from cloudassist_tasks.client.invocation import OUTPUTS_AT_ONCE, RUNS_AT_ONCE, AsyncInvocation, summed_up
from cloudassist_tasks.client.summary import Summary
from cloudassist_tasks.contract.events import Event
from cloudassist_tasks.contract.extensions import DescribeRuns, InvocationState, RunMoved, RunState
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.errors import Broken

__all__ = ["OnState", "Watch"]

PATIENCE_S = 60.0
"""For how long a store that is away is asked again while an invocation is watched."""

AGAIN_S = 1.0

FOLLOW_S = 0.4
"""How often output is looked for when no hint says that there is some."""

RUNS_PER_S = 20_000
"""Runs that a look may go through in a second: at more of them one looks less often."""

OnState = Callable[[InvocationState], Awaitable[None]]


class Patient:
    """A sender that asks again when the store is away. Only for questions: nothing is done twice."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def send(self, operation: Operation[R]) -> R:
        give_up = time.monotonic() + PATIENCE_S
        told = False
        while True:
            try:
                return await self._session.send(operation)
            except OperationFailed as failed:
                if not isinstance(failed.error, Broken) or time.monotonic() > give_up:
                    raise
                if not told:
                    note(f"{failed.error}; asking again, the runs go on")
                    told = True
            await asyncio.sleep(AGAIN_S)

    def moves(self, invoke_id: str) -> AsyncIterator[RunMoved]:
        return self._session.sender.moves(invoke_id)

    def events(self, after: str | None, *, invoke_id: str | None = None) -> AsyncIterator[Event]:
        return self._session.sender.events(after, invoke_id=invoke_id)

    async def close(self) -> None:
        """The session's is not ours to close."""


class Watch:
    """One invocation, or its runs on some instances, as seen from the command line."""

    def __init__(self, session: Session, invoke_id: str, instance_ids: Sequence[str] = ()) -> None:
        self.session = session
        self.invoke_id = invoke_id
        self.instance_ids = tuple(dict.fromkeys(instance_ids))
        self._sender = Patient(session)
        self._invocation = AsyncInvocation(self._sender, invoke_id)

    async def state(self) -> InvocationState:
        """The invocation without its runs."""
        return await self._invocation.state()

    def ended(self) -> AsyncIterator[RunState]:
        """Each run with its output, once, soon after it has ended; until all have."""
        return self._invocation.ended()

    async def until_closed(self, on_state: OnState) -> InvocationState:
        """Call `on_state` at each look; return the last one."""
        async with Hints(self._sender, self.invoke_id) as hints:
            while True:
                state = await self.state()
                await on_state(state)
                if state.closed:
                    return state
                await hints.next_look()

    async def until_ended(self) -> None:
        """Until the runs on our instances have ended."""
        async with Hints(self._sender, self.invoke_id) as hints:
            while not all(run.ended for run in await self.runs(output=False)):
                await hints.next_look()

    async def runs(self, *, output: bool) -> list[RunState]:
        """The runs as they are now, in order."""
        return [run async for page in self.pages(output=output) for run in page]

    async def summary(self, *, output: bool) -> Summary:
        """The invocation and our runs, as they are now."""
        state = await self.state()
        return await summed_up(self._invocation, state, await self.runs(output=output))

    async def pages(self, *, output: bool, watched: bool = False) -> AsyncIterator[Sequence[RunState]]:
        """As `runs`, page by page. `watched`: what nobody follows is followed again."""
        if self.instance_ids:
            yield await self._named(self.instance_ids, output=output, watched=watched)
            return
        start, limit = 0, OUTPUTS_AT_ONCE if output else RUNS_AT_ONCE
        while True:
            page = DescribeRuns(
                invoke_id=self.invoke_id, start=start, limit=limit, include_output=output, watched=watched
            )
            answer = await self._sender.send(page)
            yield answer.runs
            start = answer.next_start
            if not start:
                return

    async def changed(self) -> AsyncIterator[Sequence[RunState]]:
        """Runs with their output, whenever there is more of it, or that of another round, or one has ended;
        until all have."""
        seen: dict[str, _Mark] = {}
        while True:
            total, fresh = 0, []
            async for page in self.pages(output=False, watched=True):
                total += len(page)
                fresh += [run.instance_id for run in page if seen.get(run.instance_id) != _mark(run)]
            runs = await self._named(fresh, output=True)
            seen.update((run.instance_id, _mark(run)) for run in runs)
            yield runs
            if len(seen) >= total and all(mark.ended for mark in seen.values()):
                return
            await asyncio.sleep(FOLLOW_S + total / RUNS_PER_S)

    async def _named(self, ids: Sequence[str], *, output: bool, watched: bool = False) -> list[RunState]:
        found: list[RunState] = []
        limit = OUTPUTS_AT_ONCE if output else RUNS_AT_ONCE
        for start in range(0, len(ids), limit):
            part = DescribeRuns(
                invoke_id=self.invoke_id,
                instance_id=ids[start : start + limit],
                limit=limit,
                include_output=output,
                watched=watched,
            )
            found.extend((await self._sender.send(part)).runs)
        return found


class _Mark(NamedTuple):
    """What a run that was looked at is known by."""

    round: int
    output_bytes: int
    ended: bool


def _mark(run: RunState) -> _Mark:
    return _Mark(run.round, run.output_bytes, run.ended)
