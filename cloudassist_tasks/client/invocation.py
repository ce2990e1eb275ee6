"""One invocation in the hands of a program: wait for it, look at it, stop it, do it again.

Waiting asks for the counts alone, whose cost is the same for any number of instances; runs are read in
parts, and only those that have changed.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any

from cloudassist_tasks.client.hints import LONGEST_PAUSE_S, Hints
from cloudassist_tasks.client.sender import Sender
from cloudassist_tasks.client.summary import Summary
from cloudassist_tasks.contract.extensions import (
    DescribeRuns,
    InvocationState,
    RetryInvocation,
    RunState,
)
from cloudassist_tasks.contract.invocations import StopInvocation

RUNS_AT_ONCE = 1_000
"""Runs in one answer without their outputs."""

OUTPUTS_AT_ONCE = 200
"""Runs in one answer with them; an output has up to 24 KiB."""


class WaitedTooLong(TimeoutError):
    """The invocation goes on; waiting for it may too."""

    def __init__(self, state: InvocationState, timeout_s: float) -> None:
        super().__init__(
            f"{state.invoke_id} is {state.invocation_status} after {timeout_s:g} s"
            f" ({state.ended:,} of {state.total:,} ended); wait again, or stop it"
        )
        self.state = state


class AsyncInvocation:
    """An invocation, by its id. Nothing is asked until a method is called."""

    def __init__(self, sender: Sender, invoke_id: str) -> None:
        self.id = invoke_id
        self._sender = sender

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def state(self) -> InvocationState:
        """The invocation without its runs. `Refused(INVOCATION_NOT_FOUND)`."""
        return (await self._sender.send(DescribeRuns(invoke_id=self.id))).invocation

    @property
    def status(self) -> Coroutine[Any, Any, str]:
        """The fine state of the whole, now."""
        return self._status()

    @property
    def counts(self) -> Coroutine[Any, Any, Mapping[str, int]]:
        """How many runs are in each fine state, now."""
        return self._counts()

    async def wait(self, timeout: float | None = None) -> Summary:
        """Until every run has ended. `WaitedTooLong` after `timeout` seconds; the invocation goes on."""
        state = await self.state()
        try:
            async with asyncio.timeout(timeout), Hints(self._sender, self.id) as hints:
                while not state.closed:
                    await hints.next_look()
                    state = await self.state()
        except TimeoutError:
            raise WaitedTooLong(state, timeout or 0) from None
        return await self.summary()

    async def summary(self) -> Summary:
        """The invocation and all of its runs with their outputs, now."""
        state = await self.state()
        return await summed_up(self, state, await self.results())

    async def results(self, *, output: bool = True) -> list[RunState]:
        """All runs as they are now, in order."""
        return [run async for run in self._runs(output=output)]

    async def output(self, instance_id: str) -> str:
        """What the run on an instance has written so far: head and tail, decoded. One that nobody follows at
        the moment is followed again. `Refused(INSTANCE_NOT_IN_INVOCATION)`."""
        (run,) = await self._named([instance_id], watched=True)
        return run.output

    async def stop(self, instances: Sequence[str] | None = None) -> None:
        """Stop it, on all or some of its instances; returns once every run is asked to."""
        await self._sender.send(StopInvocation(invoke_id=self.id, instance_id=tuple(instances or ())))

    async def retry_failed(self) -> "AsyncInvocation":
        """A new invocation of the instances whose run did not succeed. `Refused` if there are none."""
        retried = await self._sender.send(RetryInvocation(invoke_id=self.id))
        return AsyncInvocation(self._sender, retried.invoke_id)

    def __aiter__(self) -> AsyncGenerator[RunState, None]:
        return self.ended()

    async def ended(self) -> AsyncGenerator[RunState, None]:
        """Each run with its output, once, soon after it has ended; until all have."""
        told: set[str] = set()
        scanned_s = 0.0
        async with Hints(self._sender, self.id) as hints:
            while True:
                state = await self.state()
                fresh = [one for one in hints.take_ended() if one not in told]
                missing = state.ended - len(told) - len(fresh)
                if missing > 0 and (state.closed or time.monotonic() - scanned_s > LONGEST_PAUSE_S):
                    fresh = await self._ended_but(told)  # hints were lost, or came before us
                    scanned_s = time.monotonic()
                for start in range(0, len(fresh), OUTPUTS_AT_ONCE):
                    for run in await self._named(fresh[start : start + OUTPUTS_AT_ONCE]):
                        if run.ended:
                            told.add(run.instance_id)
                            yield run
                if state.closed and len(told) >= state.total:
                    return
                await hints.next_look()

    async def _ended_but(self, told: set[str]) -> list[str]:
        return [
            run.instance_id
            async for run in self._runs(output=False)
            if run.ended and run.instance_id not in told
        ]

    async def _runs(self, *, output: bool) -> AsyncIterator[RunState]:
        start, limit = 0, OUTPUTS_AT_ONCE if output else RUNS_AT_ONCE
        while True:
            page = await self._sender.send(
                DescribeRuns(invoke_id=self.id, start=start, limit=limit, include_output=output)
            )
            for run in page.runs:
                yield run
            start = page.next_start
            if not start:
                return

    async def _named(self, ids: Sequence[str], *, watched: bool = False) -> Sequence[RunState]:
        asked = DescribeRuns(
            invoke_id=self.id, instance_id=ids, limit=len(ids), include_output=True, watched=watched
        )
        return (await self._sender.send(asked)).runs

    async def _status(self) -> str:
        return (await self.state()).invocation_status

    async def _counts(self) -> Mapping[str, int]:
        return (await self.state()).counts


async def summed_up(invocation: AsyncInvocation, state: InvocationState, runs: Sequence[RunState]) -> Summary:
    """Of `runs` that were read after `state`; where all had ended by then, it is asked for again."""
    if not state.closed and len(runs) == state.total and all(run.ended for run in runs):
        state = await invocation.state()
    return Summary(state=state, instances=runs)
