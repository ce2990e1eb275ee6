"""Listings of invocations, results, commands and instances: filters, both styles of paging, encodings.

No worker: runs are moved in the store, so that each state is there on purpose.
"""

import base64
from typing import Any

import pytest

from cloudassist_tasks.contract.account import DescribeAccountAttributes
from cloudassist_tasks.contract.commands import CreateCommand, DescribeCommands
from cloudassist_tasks.contract.extensions import (
    AddInstances,
    DescribeRegistrations,
    DescribeRuns,
    InstanceRegistration,
)
from cloudassist_tasks.contract.instances import (
    DescribeCloudAssistantStatus,
    DescribeInstances,
    DescribeInstanceStatus,
)
from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    DescribeInvocations,
    RunCommand,
    StopInvocation,
)
from cloudassist_tasks.contract.operation import Operation, R, Tag
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import ErrorCode, Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.outcome import Outcome
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.installation import plane, store_server  # noqa: F401
from tests.support.store import make

NOT_ZERO = Outcome(status=RunStatus.FAILED, error_code=ErrorCode.EXIT_CODE_NONZERO, exit_code=2)


async def ask(plane: Plane, operation: Operation[R]) -> R:  # noqa: F811 - the fixture
    return await handle(plane, operation, LOCAL)


async def registered(plane: Plane, *ids: str, **fields: Any) -> None:  # noqa: F811
    new = [InstanceRegistration(instance_id=one, host=f"h-{one}", **fields) for one in ids]
    await ask(plane, AddInstances(instances=new))


async def opened(plane: Plane, *ids: str, **fields: Any) -> str:  # noqa: F811
    """An invocation on these instances; all of its runs wait."""
    wanted = {"type": "RunShellScript", "command_content": "echo ok", "instance_id": ids, **fields}
    return (await ask(plane, RunCommand(**wanted))).invoke_id


async def ended(
    plane: Plane,  # noqa: F811
    invoke_id: str,
    instance_id: str,
    outcome: Outcome | None = None,
    output: bytes = b"ok\n",
) -> None:
    """The run on that instance has ended; with Success if not told otherwise."""
    key = RunKey(InvokeId(invoke_id), InstanceId(instance_id))
    now_ms = plane.clock.now_ms()
    held = await make.running(plane.store, key, now_ms=now_ms)
    await make.finish(plane.store, held, outcome, output=output, now_ms=now_ms + 1_000)


async def test_an_invocation_shows_what_was_asked_and_what_became_of_it(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1", "i-2")
    invoke_id = await opened(
        plane,
        "i-1",
        "i-2",
        command_content="echo {{who}}",
        enable_parameter=True,
        parameters={"who": "é"},
        timeout=3,
        username="app",
        working_dir="/srv",
        tag=[Tag(key="env", value="prod")],
    )
    await ended(plane, invoke_id, "i-1", output=b"\xff\n")

    found = await ask(plane, DescribeInvocations(invoke_id=invoke_id, include_output=True))

    wired: Any = to_wire(found)["Invocations"]
    (item,) = wired["Invocation"]
    assert item["InvocationStatus"] == "Pending"
    assert item["InvokeStatus"] == "Running"
    assert base64.b64decode(item["CommandContent"]) == b"echo {{who}}"
    assert item["Parameters"] == '{"who": "é"}'
    assert (item["Timeout"], item["Username"], item["WorkingDir"]) == (10, "app", "/srv")
    assert (item["RepeatMode"], item["TerminationMode"], item["Timed"]) == ("Once", "ProcessTree", False)
    assert item["Tags"] == {"Tag": [{"TagKey": "env", "TagValue": "prod"}]}
    first, second = item["InvokeInstances"]["InvokeInstance"]
    assert (first["InvocationStatus"], first["InstanceInvokeStatus"]) == ("Success", "Finished")
    assert (first["ExitCode"], base64.b64decode(first["Output"])) == (0, b"\xff\n")
    assert first["StartTime"].endswith("Z")
    assert first["StopTime"] == ""
    assert (second["InvocationStatus"], second["FinishTime"]) == ("Pending", "")
    assert "ExitCode" not in second


async def test_plain_text_replaces_what_is_not_utf8(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1")
    invoke_id = await opened(plane, "i-1")
    await ended(plane, invoke_id, "i-1", output=b"\xff\n")

    found = await ask(plane, DescribeInvocationResults(invoke_id=invoke_id, content_encoding="plaintext"))

    assert found.invocation.invocation_results[0].output == "\ufffd\n"


async def test_a_timed_out_run_has_no_exit_code(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1")
    invoke_id = await opened(plane, "i-1")
    late = Outcome(status=RunStatus.TIMEOUT, error_code=ErrorCode.EXECUTION_TIMEOUT, exit_code=137)
    await ended(plane, invoke_id, "i-1", late)

    found = await ask(plane, DescribeInvocationResults(invoke_id=invoke_id))

    (result,) = found.invocation.invocation_results
    assert (result.invocation_status, result.invoke_record_status) == ("Timeout", "Failed")
    assert "ExitCode" not in to_wire(result)


async def test_invocations_are_found_by_each_filter(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1", "i-2")
    first = await opened(plane, "i-1", name="upgrade nginx", tag=[Tag(key="env", value="prod")])
    second = await opened(plane, "i-1", "i-2", name="upgrade kernel")
    await ended(plane, second, "i-2", NOT_ZERO)
    await ask(plane, StopInvocation(invoke_id=first))

    async def ids(**filters: Any) -> list[str]:
        found = await ask(plane, DescribeInvocations(**filters))
        return [item.invoke_id for item in found.invocations]

    assert await ids() == [second, first]
    assert await ids(command_name="upgrade*") == [second, first]
    assert await ids(command_name="*nginx") == [first]
    assert await ids(instance_id="i-2") == [second]
    assert await ids(tag=[Tag(key="env")]) == [first]
    assert await ids(invoke_status="Stopped") == [first]
    assert await ids(invoke_status="Pending") == [second]
    assert await ids(invoke_status="Finished") == []
    assert await ids(instance_id="i-2", invoke_status="Failed") == [second]
    assert await ids(instance_id="i-1", invoke_status="Stopped") == [first]
    assert await ids(instance_id="i-1", invoke_status="Stopped", max_results=1) == [first]
    assert await ids(timed=True) == []
    assert await ids(timed=False) == [second, first]
    assert await ids(command_type="RunBatScript") == []
    assert await ids(invoke_id="t-none") == []
    assert await ids(invoke_id=first, instance_id="i-2") == []


async def test_invocations_of_an_instance_show_its_part_alone(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1", "i-2")
    await opened(plane, "i-1", "i-2")

    (item,) = (await ask(plane, DescribeInvocations(instance_id="i-2"))).invocations

    assert [instance.instance_id for instance in item.invoke_instances] == ["i-2"]


async def test_pages_by_token_stay_right_while_others_come(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1")
    ids = [await opened(plane, "i-1") for _ in range(5)]

    first = await ask(plane, DescribeInvocations(max_results=2))
    await opened(plane, "i-1")
    second = await ask(plane, DescribeInvocations(max_results=2, next_token=first.next_token))
    third = await ask(plane, DescribeInvocations(max_results=2, next_token=second.next_token))

    shown = [item.invoke_id for page in (first, second, third) for item in page.invocations]
    assert shown == ids[::-1]
    assert third.next_token == ""


async def test_pages_by_number_count_all(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1")
    ids = [await opened(plane, "i-1") for _ in range(5)]

    page = await ask(plane, DescribeInvocations(page_number=2, page_size=2))

    assert [item.invoke_id for item in page.invocations] == [ids[2], ids[1]]
    assert (page.page_number, page.page_size, page.total_count) == (2, 2, 5)


@pytest.mark.parametrize("page_size", [1, 2, 3, 50])
async def test_results_of_all_invocations_are_one_list(plane: Plane, page_size: int) -> None:  # noqa: F811
    await registered(plane, "i-1", "i-2", "i-3")
    ids = [await opened(plane, "i-1", "i-2", "i-3") for _ in range(2)]
    await ended(plane, ids[0], "i-2")
    everything = [(ids[1], f"i-{n}") for n in (1, 2, 3)] + [(ids[0], f"i-{n}") for n in (1, 2, 3)]

    async def shown(**filters: Any) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        token: str | None = None
        while token != "":
            page = await ask(
                plane, DescribeInvocationResults(max_results=page_size, next_token=token, **filters)
            )
            found += [(one.invoke_id, one.instance_id) for one in page.invocation.invocation_results]
            token = page.invocation.next_token
        return found

    assert await shown() == everything
    assert await shown(instance_id="i-2") == [(ids[1], "i-2"), (ids[0], "i-2")]
    assert await shown(invoke_record_status="Finished") == [(ids[0], "i-2")]
    assert await shown(instance_id="i-2", invoke_record_status="Finished") == [(ids[0], "i-2")]
    assert await shown(invoke_id=ids[0], invoke_record_status="Running") == [
        (ids[0], "i-1"),
        (ids[0], "i-3"),
    ]
    assert await shown(invoke_id=ids[0], instance_id="i-9") == []


async def test_results_by_page_number_count_what_fits(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1", "i-2", "i-3")
    ids = [await opened(plane, "i-1", "i-2", "i-3") for _ in range(2)]
    await ended(plane, ids[1], "i-1")

    async def page(**fields: Any) -> tuple[list[str], int]:
        found = (await ask(plane, DescribeInvocationResults(**fields))).invocation
        return [one.instance_id for one in found.invocation_results], found.total_count

    assert await page(page_number=1, page_size=4) == (["i-1", "i-2", "i-3", "i-1"], 6)
    assert await page(page_number=2, page_size=4) == (["i-2", "i-3"], 6)
    assert await page(invoke_record_status="Running", page_number=1, page_size=3) == (
        ["i-2", "i-3", "i-1"],
        5,
    )
    assert await page(invoke_record_status="Running", page_number=2, page_size=3) == (["i-2", "i-3"], 5)
    assert await page(instance_id="i-1") == (["i-1", "i-1"], 2)
    assert await page(invoke_id=ids[0], instance_id="i-9") == ([], 0)


async def test_commands_are_found_by_each_filter(plane: Plane) -> None:  # noqa: F811
    async def made(name: str, **fields: Any) -> str:
        content = base64.b64encode(b"echo {{x}}").decode()
        wanted = {"name": name, "type": "RunShellScript", "command_content": content, **fields}
        return (await ask(plane, CreateCommand(**wanted))).command_id

    first = await made("one", description="first of two", enable_parameter=True)
    second = await made("two", type="RunBatScript", tag=[Tag(key="k", value="v")])

    async def ids(**filters: Any) -> list[str]:
        return [one.command_id for one in (await ask(plane, DescribeCommands(**filters))).commands]

    assert await ids() == [second, first]
    assert await ids(name="o*") == [first]
    assert await ids(description="*of*") == [first]
    assert await ids(type="RunBatScript") == [second]
    assert await ids(tag=[Tag(key="k", value="v")]) == [second]
    assert await ids(command_id=first) == [first]
    assert await ids(command_id="c-none") == []
    assert await ids(provider="AlibabaCloud") == []
    assert await ids(page_size=1, page_number=2) == [first]


async def test_a_run_that_is_not_kept_leaves_no_command_in_the_listing(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1")
    content = base64.b64encode(b"true").decode()
    ran = await ask(plane, RunCommand(type="RunShellScript", command_content="true", instance_id=["i-1"]))
    kept = await ask(
        plane,
        RunCommand(
            type="RunShellScript", command_content="true", instance_id=["i-1"], keep_command=True, name="k"
        ),
    )

    listed = (await ask(plane, DescribeCommands())).commands

    assert [(one.command_id, one.name, one.command_content) for one in listed] == [
        (kept.command_id, "k", content)
    ]
    assert (await ask(plane, DescribeCommands(command_id=ran.command_id))).commands == ()


async def test_creating_a_command_again_with_its_token_creates_nothing(plane: Plane) -> None:  # noqa: F811
    content = base64.b64encode(b"true").decode()
    wanted = {"name": "n", "type": "RunShellScript", "command_content": content, "client_token": "t"}

    first = await ask(plane, CreateCommand(**wanted))  # type: ignore[arg-type]
    again = await ask(plane, CreateCommand(**wanted))  # type: ignore[arg-type]
    with pytest.raises(Refused) as refusal:
        await ask(plane, CreateCommand(**{**wanted, "name": "other"}))  # type: ignore[arg-type]

    assert first.command_id == again.command_id
    assert refusal.value.kind is Kind.CLIENT_TOKEN_REUSED
    assert await plane.store.commands.count() == 1


async def test_instances_are_listed_in_natural_order_and_found_by_each_filter(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-10", "i-2", name="web", tags={"env": "prod"})
    await registered(plane, "i-1", os_type="windows")

    async def ids(**filters: Any) -> list[str]:
        return [one.instance_id for one in (await ask(plane, DescribeInstances(**filters))).instances]

    assert await ids() == ["i-1", "i-2", "i-10"]
    assert await ids(instance_name="w*") == ["i-2", "i-10"]
    assert await ids(instance_ids='["i-10", "i-9"]') == ["i-10"]
    assert await ids(private_ip_addresses='["h-i-2"]') == ["i-2"]
    assert await ids(tag=[Tag(key="env", value="prod")]) == ["i-2", "i-10"]
    assert await ids(status="Stopped") == []
    assert await ids(page_size=2, page_number=2) == ["i-10"]
    states = (await ask(plane, DescribeInstanceStatus(instance_id=["i-2", "i-9"]))).instance_statuses
    assert [(one.instance_id, one.status) for one in states] == [("i-2", "Running")]
    told = await ask(plane, DescribeCloudAssistantStatus(os_type="Windows"))
    assert [one.instance_id for one in told.instance_cloud_assistant_status_set] == ["i-1"]


async def test_registrations_page_by_the_last_id_shown(plane: Plane) -> None:  # noqa: F811
    await registered(plane, "i-1", "i-2", "i-10")

    first = await ask(plane, DescribeRegistrations(max_results=2))
    second = await ask(plane, DescribeRegistrations(max_results=2, next_token=first.next_token))

    shown = [one.registration.instance_id for page in (first, second) for one in page.registrations]
    assert shown == ["i-1", "i-2", "i-10"]
    assert second.next_token == ""


async def test_an_invocation_is_read_in_parts(plane: Plane) -> None:  # noqa: F811
    ids = [f"i-{number}" for number in range(1, 8)]
    await registered(plane, *ids)
    invoke_id = await opened(plane, *ids)
    await ended(plane, invoke_id, "i-3", output=b"three\n")

    header = await ask(plane, DescribeRuns(invoke_id=invoke_id))
    page = await ask(plane, DescribeRuns(invoke_id=invoke_id, start=2, limit=3, include_output=True))
    last = await ask(plane, DescribeRuns(invoke_id=invoke_id, start=5, limit=3))

    assert (header.runs, header.next_start) == ((), 0)
    assert header.invocation.counts == {"Pending": 6, "Success": 1}
    assert (header.invocation.ended, header.invocation.total, header.invocation.closed) == (1, 7, False)
    assert [(run.instance_id, run.output) for run in page.runs] == [
        ("i-3", "three\n"),
        ("i-4", ""),
        ("i-5", ""),
    ]
    assert (page.next_start, last.next_start) == (5, 0)
    with pytest.raises(Refused) as refusal:
        await ask(plane, DescribeRuns(invoke_id=invoke_id, instance_id=["i-99"]))
    assert refusal.value.kind is Kind.INSTANCE_NOT_IN_INVOCATION


async def test_the_quotas_are_told(plane: Plane) -> None:  # noqa: F811
    told = await ask(plane, DescribeAccountAttributes())
    one = await ask(plane, DescribeAccountAttributes(attribute_name=["max-axt-command-count", "other"]))

    assert {item.attribute_name: item.attribute_values[0].value for item in told.account_attribute_items} == {
        "max-axt-command-count": "100",
        "max-axt-invocation-daily": "5000",
        "max-cloud-assistant-activation-count": "5000",
    }
    assert len(one.account_attribute_items) == 1
