"""A real store for a test, and builders of what goes into it.

Import the fixtures into the `conftest.py` of the folder that needs them:

    from tests.support.store import store, store_server  # noqa: F401

`store_server` is one Valkey server for the whole session; `store` a `RedisStore` on its flushed database 0
(so tests that share a process never share data). `make` builds values with everything filled in;
name what the test is about:

    opened = await store.invocations.open(make.opening("i-1", "i-2"), now_ms=1_000)
    claim = await make.claim(store, RunKey(opened.invoke_id, InstanceId("i-1")), worker="w-1")
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.invocations import Opening
from cloudassist_tasks.ports.runs import Claim, Finished, Held
from cloudassist_tasks.ports.store import Store
from cloudassist_tasks.ports.workers import WorkerInfo
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.valkey import ValkeyServer, private_valkey

__all__ = ["make", "store", "store_server"]


@pytest.fixture(scope="session")
def store_server() -> Iterator[ValkeyServer]:
    """One real server for all tests of the session."""
    with private_valkey() as server:
        yield server


@pytest.fixture
async def store(store_server: ValkeyServer) -> AsyncIterator[RedisStore]:
    """An empty store."""
    fresh = await RedisStore.open(store_server.url())
    await fresh.link.call("FLUSHDB")
    yield fresh
    await fresh.close()


class Make:
    """Values of the domain with unremarkable contents. Ids are new each time; times are small numbers."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def command(self, content: bytes = b"echo ok", **fields: Any) -> Command:
        """A shell command, kept."""
        number = next(self._numbers)
        command = Command(
            id=CommandId(f"c-{number}"),
            name=f"command {number}",
            type=CommandType.SHELL,
            content=Secret(content),
            created_ms=1_000,
        )
        return replace(command, **fields)

    def instance(self, id_: str = "", **fields: Any) -> Instance:
        """A Linux machine behind SSH; nothing listens there."""
        number = next(self._numbers)
        instance = Instance(id=InstanceId(id_ or f"i-{number}"), host="127.0.0.1", name=f"instance {number}")
        return replace(instance, **fields)

    def spec(self, command: Command | None = None, **fields: Any) -> InvocationSpec:
        """A single execution with a timeout of 60 s; of a new, unkept command if none is given."""
        spec = InvocationSpec(
            id=InvokeId(f"t-{next(self._numbers)}"),
            command=command or self.command(kept=False),
            timeout_s=60,
            created_ms=1_000,
        )
        return replace(spec, **fields)

    def opening(self, *members: str, spec: InvocationSpec | None = None, **fields: Any) -> Opening:
        """Of these instances (`i-1` if none are named). The command must be stored first if it is kept."""
        spec = spec or self.spec()
        opening = Opening(
            spec=spec,
            members=[InstanceId(member) for member in members or ("i-1",)],
            day="2026-01-01",
            daily_quota=5_000,
            kept_command=spec.command.kept,
        )
        return replace(opening, **fields)

    def worker(self, id_: str = "w-1", **fields: Any) -> WorkerInfo:
        """A worker process."""
        return replace(
            WorkerInfo(id=WorkerId(id_), host="here", pid=1, kind="worker", started_ms=1_000), **fields
        )

    def success(self) -> Outcome:
        """Exit code 0."""
        return Outcome(status=RunStatus.SUCCESS, exit_code=0)

    # -- steps of the store with the arguments that a test rarely cares for

    async def opened(self, store: Store, *members: str, now_ms: int = 1_000, **fields: Any) -> list[RunKey]:
        """Open an invocation; its runs, in order."""
        opening = self.opening(*members, **fields)
        opened = await store.invocations.open(opening, now_ms=now_ms)
        return [RunKey(opened.invoke_id, member) for member in opening.members]

    async def claim(
        self,
        store: Store,
        key: RunKey,
        worker: str = "w-1",
        *,
        now_ms: int = 2_000,
        at_once: int = 10,
        may_wait: int = 50,
        force: bool = False,
    ) -> Claim:
        """Ask for a run."""
        return await store.runs.claim(
            key,
            worker=WorkerId(worker),
            now_ms=now_ms,
            at_once=at_once,
            may_wait=may_wait,
            force=force,
        )

    async def held(self, store: Store, key: RunKey, worker: str = "w-1", **fields: Any) -> Held:
        """Claim a run that nobody has."""
        claim = await self.claim(store, key, worker, **fields)
        assert claim.held is not None, claim.word
        return claim.held

    async def launched(self, store: Store, key: RunKey, worker: str = "w-1", *, now_ms: int = 2_000) -> Held:
        """Claim a run and commit Launching; its deadline is a minute later."""
        held = await self.held(store, key, worker, now_ms=now_ms)
        moved = await store.runs.commit_launching(
            held, boot_id="boot-1", deadline_ms=now_ms + 60_000, now_ms=now_ms
        )
        assert moved.done, moved
        return held

    async def running(self, store: Store, key: RunKey, worker: str = "w-1", *, now_ms: int = 2_000) -> Held:
        """Claim a run, launch it, and see it start."""
        held = await self.launched(store, key, worker, now_ms=now_ms)
        moved = await store.runs.started(held, start_ms=now_ms, now_ms=now_ms)
        assert moved.done, moved
        return held

    async def finish(
        self,
        store: Store,
        held: Held,
        outcome: Outcome | None = None,
        *,
        output: bytes = b"",
        now_ms: int = 3_000,
    ) -> Finished:
        """The end of a run: Success if not told otherwise."""
        return await store.runs.finish(
            held,
            outcome or self.success(),
            output=BoundedOutput(head=output, total=len(output)),
            start_ms=now_ms - 500,
            finish_ms=now_ms,
            now_ms=now_ms,
        )


make = Make()
