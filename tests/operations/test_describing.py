"""An answer agrees with itself, whatever moves while it is put together."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from cloudassist_tasks.contract.files import DescribeSendFileResults, SendFile
from cloudassist_tasks.contract.invocations import DescribeInvocations, RunCommand
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.listing import end
from tests.support.store import make

IDS = ["i-1", "i-2"]


async def answer(plane: Plane, request: Operation[Any]) -> Any:
    return await handle(plane, request, LOCAL)


@pytest.mark.parametrize(
    ("opening", "listing"),
    [
        (RunCommand(type="RunShellScript", command_content="true", instance_id=IDS), DescribeInvocations),
        (
            SendFile(name="f", content=base64.b64encode(b"x").decode(), target_dir="/srv", instance_id=IDS),
            DescribeSendFileResults,
        ),
    ],
    ids=["command", "file"],
)
async def test_the_whole_is_shown_as_of_when_its_instances_were_read(
    plane: Plane,
    monkeypatch: pytest.MonkeyPatch,
    opening: Operation[Any],
    listing: Callable[..., Operation[Any]],
) -> None:
    await plane.store.instances.add([make.instance(id_) for id_ in IDS])
    invoke_id = InvokeId((await answer(plane, opening)).invoke_id)
    invocations = type(plane.store.invocations)
    members = invocations.members

    async def meanwhile(self: Any, id_: InvokeId, **part: Any) -> Sequence[InstanceId]:
        found = await members(self, id_, **part)
        for each in found:
            await end(plane.store, id_, each, RunStatus.SUCCESS)
        return found

    monkeypatch.setattr(invocations, "members", meanwhile)
    [item] = (await answer(plane, listing(invoke_id=invoke_id))).invocations

    assert [one.invocation_status for one in item.invoke_instances] == ["Success", "Success"]
    assert item.invocation_status == "Success"
