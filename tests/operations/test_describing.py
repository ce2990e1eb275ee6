"""An answer agrees with itself, whatever moves while it is put together."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.client.invocation import AsyncInvocation
from cloudassist_tasks.contract.events import Event
from cloudassist_tasks.contract.extensions import DescribeRuns, RunMoved
from cloudassist_tasks.contract.files import DescribeSendFileResults, SendFile
from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    DescribeInvocations,
    RunCommand,
    StopInvocation,
)
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.listing import end
from tests.support.store import make

IDS = ["i-1", "i-2"]

COMMAND = RunCommand(type="RunShellScript", command_content="true", instance_id=IDS)
FILE = SendFile(name="f", content=base64.b64encode(b"x").decode(), target_dir="/srv", instance_id=IDS)
LARGE = b"a line\n" * 5_000


@pytest.fixture(autouse=True)
async def instances(plane: Plane) -> None:
    await plane.store.instances.add([make.instance(id_) for id_ in IDS])


async def answer(plane: Plane, request: Operation[Any]) -> Any:
    return await handle(plane, request, LOCAL)


@pytest.fixture
def meanwhile(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have something happen between the members of an invocation and their runs."""

    def happens(something: Callable[[InvokeId, Sequence[InstanceId]], Awaitable[object]]) -> None:
        invocations = type(plane.store.invocations)
        members = invocations.members

        async def read(self: Any, id_: InvokeId, **part: Any) -> Sequence[InstanceId]:
            found = await members(self, id_, **part)
            monkeypatch.setattr(invocations, "members", members)
            await something(id_, found)
            return found

        monkeypatch.setattr(invocations, "members", read)

    return happens


@pytest.mark.parametrize(
    ("opening", "listing"), [(COMMAND, DescribeInvocations), (FILE, DescribeSendFileResults)]
)
@pytest.mark.parametrize(
    ("states", "whole"),
    [({"i-1": "Success", "i-2": "Success"}, "Success"), ({"i-1": "Success", "i-2": "Running"}, "Running")],
    ids=["ended", "running"],
)
async def test_the_whole_is_shown_as_of_when_its_instances_were_read(
    plane: Plane,
    meanwhile: Callable[..., None],
    opening: Operation[Any],
    listing: Callable[..., Operation[Any]],
    states: dict[str, str],
    whole: str,
) -> None:
    invoke_id = InvokeId((await answer(plane, opening)).invoke_id)

    async def both_move(id_: InvokeId, ids: Sequence[InstanceId]) -> None:
        for each in ids:
            if states[each] == "Running":
                await make.running(plane.store, RunKey(id_, each))
            else:
                await end(plane.store, id_, each, RunStatus.SUCCESS)

    meanwhile(both_move)
    [item] = (await answer(plane, listing(invoke_id=invoke_id))).invocations

    assert {one.instance_id: one.invocation_status for one in item.invoke_instances} == states
    assert item.invocation_status == whole


async def test_an_invocation_whose_runs_are_shown_as_ended_has_closed(
    plane: Plane, meanwhile: Callable[..., None]
) -> None:
    invoke_id = InvokeId((await answer(plane, COMMAND)).invoke_id)

    async def all_end(id_: InvokeId, ids: Sequence[InstanceId]) -> None:
        for each in ids:
            await end(plane.store, id_, each, RunStatus.FAILED)

    meanwhile(all_end)
    found = await answer(plane, DescribeRuns(invoke_id=invoke_id, limit=10))

    assert [run.ended for run in found.runs] == [True, True]
    assert (found.invocation.counts, found.invocation.ended) == ({"Failed": 2}, 2)
    assert found.invocation.finish_time


async def test_a_schedule_whose_parts_are_over_runs_no_more(
    plane: Plane, meanwhile: Callable[..., None]
) -> None:
    opened = await answer(plane, replace(COMMAND, frequency="rate(1h)"))

    async def stopped(id_: InvokeId, _ids: Sequence[InstanceId]) -> None:
        await answer(plane, StopInvocation(invoke_id=id_))

    meanwhile(stopped)
    [item] = (await answer(plane, DescribeInvocations(invoke_id=opened.invoke_id))).invocations

    assert (item.invocation_status, item.timed) == ("Stopped", False)
    assert [one.timed for one in item.invoke_instances] == [False, False]


async def test_an_output_is_as_long_as_is_said_beside_it(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = InvokeId((await answer(plane, COMMAND)).invoke_id)
    key = RunKey(invoke_id, InstanceId("i-1"))
    held = await make.running(plane.store, key)
    short, long = BoundedOutput(), BoundedOutput()
    short.add(0, b"a line\n")
    long.add(0, LARGE)
    await plane.store.runs.record_output(held, short, now_ms=3_000)
    runs = type(plane.store.runs)
    output = runs.output

    async def more_comes(self: Any, keys: Sequence[RunKey]) -> Sequence[BoundedOutput]:
        await plane.store.runs.record_output(held, long, now_ms=4_000)
        return await output(self, keys)

    async def asked(request: Operation[Any]) -> Any:
        await plane.store.runs.record_output(held, short, now_ms=3_000)
        return await answer(plane, request)

    monkeypatch.setattr(runs, "output", more_comes)
    described = await asked(DescribeRuns(invoke_id=invoke_id, instance_id=["i-1"], include_output=True))
    listed = await asked(
        DescribeInvocations(invoke_id=invoke_id, include_output=True, content_encoding="PlainText")
    )
    results = await asked(DescribeInvocationResults(invoke_id=invoke_id, content_encoding="PlainText"))

    [run] = described.runs
    [item] = listed.invocations
    for shown in (run, item.invoke_instances[0], results.invocation.invocation_results[0]):
        assert shown.dropped == len(LARGE) - len(shown.output.encode()) > 0, shown
    assert run.output_bytes == len(LARGE)


async def test_a_summary_whose_runs_have_all_ended_is_of_a_closed_invocation(plane: Plane) -> None:
    invoke_id = InvokeId((await answer(plane, COMMAND)).invoke_id)
    asked: list[Operation[Any]] = []

    class Interposed(_NoHints):
        async def send(self, operation: Operation[R]) -> R:
            found = await handle(plane, operation, LOCAL)
            if not asked:
                for each in IDS:
                    await end(plane.store, invoke_id, each, RunStatus.SUCCESS)
            asked.append(operation)
            return found

    summary = await AsyncInvocation(Interposed(), invoke_id).summary()

    assert [run.ended for run in summary.instances] == [True, True]
    assert (summary.succeeded, summary.state.closed, bool(summary.state.finish_time)) == (True, True, True)


class _NoHints:
    """A sender that is only asked."""

    def moves(self, invoke_id: str) -> AsyncIterator[RunMoved]:
        raise NotImplementedError

    def events(self, after: str | None, *, invoke_id: str | None = None) -> AsyncIterator[Event]:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing was opened."""
