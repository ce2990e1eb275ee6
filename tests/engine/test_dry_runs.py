"""RepeatMode DryRun: the instance is reached and looked at, the script never runs."""

import pytest

from cloudassist_tasks.contract.invocations import DescribeInvocations, RunCommand
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.operations.handling import handle
from tests.support.plane import Console, Installation


async def dry_run(console: Console, home: Installation, **fields: object) -> RunKey:
    """A dry run of a script that would leave a mark, carried to its end; its key."""
    wanted = {
        "type": "RunShellScript",
        "command_content": home.marking("exit 3"),
        "enable_parameter": True,
        "repeat_mode": "DryRun",
        "instance_id": ["i-1"],
        **fields,
    }
    opened = await handle(console.plane, RunCommand(**wanted), LOCAL)  # type: ignore[arg-type]  # as fields
    key = RunKey(InvokeId(opened.invoke_id), InstanceId("i-1"))
    await execute(await console.worker(), key)
    return key


async def test_a_dry_run_succeeds_and_nothing_runs(console: Console, home: Installation) -> None:
    key = await dry_run(console, home, launcher="/no/such/launcher {{ACS::ScriptFileName}}")

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.SUCCESS, "")
    assert home.marked(key.invoke_id) == {}
    listed = await handle(console.plane, DescribeInvocations(invoke_id=key.invoke_id), LOCAL)
    assert [one.repeat_mode for one in listed.invocations] == ["DryRun"]
    assert [one.invocation_status for one in listed.invocations] == ["Success"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"username": "nobody-of-that-name"}, RunStatus.INVALID, "AccountNotExists"),
        ({"working_dir": "/no/such/directory"}, RunStatus.INVALID, "DirectoryNotExists"),
        ({"command_content": "{{ACS::Nothing}}"}, RunStatus.INVALID, "InvalidSystemBuiltInParameter"),
    ],
    ids=lambda one: str(one) if isinstance(one, str) else "",
)
async def test_a_dry_run_finds_what_the_script_would_meet(
    console: Console, home: Installation, fields: dict[str, object], status: RunStatus, code: str
) -> None:
    key = await dry_run(console, home, **fields)

    run = await console.run(key)
    assert (run.status, run.error_code) == (status, code)


async def test_a_dry_run_of_an_instance_that_cannot_be_entered_is_aborted(
    console: Console, home: Installation
) -> None:
    await console.register_one("i-1", identity="/no/such/key")

    key = await dry_run(console, home)

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.ABORTED, "ClientNotOnline")
