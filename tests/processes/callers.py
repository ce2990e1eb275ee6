"""Callers as they should be: a ClientToken for each call, which is repeated until there is an InvokeId."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.contract.invocations import RunCommand
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.engine.insist import insist
from tests.support.plane import Installation

__all__ = ["Callers"]


@dataclass(slots=True)
class Callers:
    """What they asked for and what they were told, by token."""

    home: Installation
    asked: dict[str, RunCommand] = field(default_factory=dict)
    told: dict[str, InvokeId] = field(default_factory=dict)
    attempts: int = 0

    async def call(self, client: AsyncClient, request: RunCommand) -> InvokeId:
        """Until it is acknowledged."""

        async def attempt() -> InvokeId:
            self.attempts += 1
            return InvokeId((await client.send(request)).invoke_id)

        return await insist(attempt)

    async def go_on(
        self,
        client: AsyncClient,
        name: str,
        script: str,
        instance_ids: Iterator[str],
        calm: asyncio.Event,
        between: Callable[[InvokeId], Awaitable[object]] | None = None,
    ) -> None:
        """One marking script after the other, each on the next instance, until all is calm; `between` is
        awaited with each that was opened."""
        for number in count():
            if calm.is_set():
                return
            token = f"{name}-{number}"
            request = RunCommand(
                type="RunShellScript",
                command_content=self.home.marking(script),
                enable_parameter=True,
                instance_id=[next(instance_ids)],
                client_token=token,
            )
            self.asked[token] = request
            self.told[token] = opened = await self.call(client, request)
            if between is not None:
                await between(opened)
