"""Today's processes go on from what an earlier version, or this one, has left in store and broker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cloudassist_tasks.client.client import AsyncClient
from cloudassist_tasks.contract.audit import DescribeAuditRecords
from cloudassist_tasks.contract.commands import DescribeCommands
from cloudassist_tasks.contract.files import DescribeSendFileResults
from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    DescribeInvocations,
    InvokeCommand,
)
from cloudassist_tasks.contract.keys import DescribeAccessKeys
from cloudassist_tasks.contract.operation import Operation, Tag
from cloudassist_tasks.contract.schedules import DescribeRounds, DescribeSchedules, ResumeSchedule
from cloudassist_tasks.contract.webhooks import RevealWebhookSecret, verified
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.events import OLDEST, EventKind
from tests.compat.record import RECORDED
from tests.compat.restored import Restored, restored
from tests.compat.scene import BOOT, WITH_TOKEN
from tests.processes.serving import endpoint_of
from tests.support.eventually import eventually, eventually_async
from tests.support.plane import Console, private_installation

pytestmark = pytest.mark.xdist_group("compat")  # one installation for all of them

S = RunStatus


@pytest.fixture(scope="module", params=RECORDED)
def left(request: pytest.FixtureRequest) -> Iterator[Restored]:
    """A worker and a beat of today over what is recorded; receivers listen again."""
    with private_installation() as home, ExitStack() as processes:
        home.sshd.start_with_boot_id(BOOT)
        found = restored(home, request.param)
        processes.enter_context(found.receiver.up())
        processes.enter_context(home.worker(concurrency=200, **found.settings))
        processes.enter_context(home.beat(**found.settings))
        yield found


@pytest.fixture
async def console(left: Restored) -> AsyncIterator[Console]:
    async with left.home.console(0, emptied=False, **left.settings) as opened:
        yield opened


async def ask(console: Console, operation: Operation[Any]) -> Any:
    return await handle(console.plane, operation, LOCAL)


def key_of(left: Restored, name: str, instance_id: str, round_: int = 0) -> RunKey:
    return RunKey(InvokeId(left.scene.invoke_ids[name]), InstanceId(instance_id), round_)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("queued", ["i-3"]),
        ("capped", ["i-3", "i-4", "i-5"]),
        ("claimed", ["i-6"]),
        ("launching", ["i-6"]),
        ("waiting", ["i-6"]),
        ("large", [f"i-{n}" for n in range(1, 7)]),
    ],
)
async def test_runs_that_no_host_had_begun_are_carried_out_once(
    left: Restored, console: Console, name: str, members: list[str]
) -> None:
    invoke_id = InvokeId(left.scene.invoke_ids[name])

    tally = await console.closed(invoke_id, within=60)

    assert tally == {S.SUCCESS: len(members)}
    assert left.home.marked(invoke_id) == dict.fromkeys(members, 1)


@pytest.mark.parametrize("name", ["running", "adrift"])
async def test_runs_whose_host_has_lost_them_end_and_keep_their_output(
    left: Restored, console: Console, name: str
) -> None:
    key = key_of(left, name, "i-6" if name == "running" else "i-7")

    run = await console.reaches(key, S.ERROR, within=60)

    assert run.error_code == ErrorCode.EXECUTION_INTERRUPTED
    assert await console.output(key) == b"so far\n"
    assert left.home.marked(key.invoke_id) == {}


async def test_a_stop_of_what_its_host_has_lost_is_neither_terminated_nor_cancelled(
    left: Restored, console: Console
) -> None:
    """It was seen running, and its host has no record: nobody knows what became of it."""
    key = key_of(left, "stopping", "i-7")

    run = await console.reaches(key, S.TERMINATED, S.CANCELLED, S.ERROR, within=60)

    assert (run.status, run.error_code) == (S.ERROR, ErrorCode.EXECUTION_INTERRUPTED)
    assert run.stop_requested
    assert left.home.marked(key.invoke_id) == {}


async def test_what_had_ended_stays_as_it_was_though_its_messages_come_again(
    left: Restored, console: Console
) -> None:
    await asyncio.to_thread(eventually, lambda: not left.home.messages(), within=60)

    ids = left.scene.invoke_ids
    for name, status in {
        "ended": S.SUCCESS,
        "failed": S.FAILED,
        "file": S.SUCCESS,
        "told": S.SUCCESS,
    }.items():
        assert set(await console.closed(InvokeId(ids[name]))) == {status}
        assert left.home.marked(ids[name]) == {}
    given_up = await console.run(key_of(left, "given-up", "i-2"))
    assert (given_up.status, given_up.error_code) == (S.ERROR, ErrorCode.EXECUTION_INTERRUPTED)


async def test_a_host_is_asked_after_a_run_that_was_given_up(left: Restored, console: Console) -> None:
    async def asked() -> str:
        return (await console.run(key_of(left, "given-up", "i-2"))).late_result

    await eventually_async(asked, within=60)


async def test_a_schedule_fires_on_and_its_open_round_ends(left: Restored, console: Console) -> None:
    invoke_id = InvokeId(left.scene.invoke_ids["schedule"])

    async def goes_on() -> bool:
        """The instance has no part in rounds that are opened before it is done with the one before."""
        rounds = (await ask(console, DescribeRounds(invoke_id=invoke_id, limit=100))).rounds
        ended = {one.round for one in rounds if one.invocation_status == "Success"}
        return {1, 2} <= ended and max(ended) >= 3

    await eventually_async(goes_on, within=60)

    assert left.home.marked(invoke_id)["i-8"] >= 2  # the first ran before the recording


async def test_a_paused_schedule_is_known_and_can_be_resumed(left: Restored, console: Console) -> None:
    invoke_id = left.scene.invoke_ids["paused"]
    (before,) = (await ask(console, DescribeSchedules(invoke_id=invoke_id))).schedules

    await ask(console, ResumeSchedule(invoke_id=invoke_id))

    (after,) = (await ask(console, DescribeSchedules(invoke_id=invoke_id))).schedules
    assert (before.state, after.state) == ("paused", "active")
    assert after.next_time


async def test_closed_invocations_are_told_of_under_the_same_ids(left: Restored, console: Console) -> None:
    ids = left.scene.invoke_ids
    untold, ended = f"cb-{ids['untold']}", f"cb-{ids['ended']}"

    await asyncio.to_thread(eventually, lambda: {untold, ended} <= set(left.receiver.ids), within=60)

    secret = (await ask(console, RevealWebhookSecret())).secret
    posted = left.receiver.posted[0]
    now_s = console.clock.now_ms() / 1_000
    assert verified(secret, posted.body, posted.headers["x-cloudassist-signature"], now_s=now_s)
    called = {message.id for message in left.home.messages_in("shop")}
    assert f"cb-{ids['told']}" in called
    await asyncio.to_thread(
        eventually, lambda: untold in {one.id for one in left.home.messages_in("shop")}, within=60
    )


async def test_a_message_of_another_app_is_carried_out_and_called_back(
    left: Restored, console: Console
) -> None:
    def called() -> list[Any]:
        known = {f"cb-{one}" for one in left.scene.invoke_ids.values()}
        return [one for one in left.home.messages_in("shop") if one.id not in known]

    await asyncio.to_thread(eventually, called, within=60)

    (message,) = {one.id: one for one in called()}.values()  # told at least once, under one id
    assert message.kwargs["order"] == 7
    assert message.kwargs["summary"]["InvocationStatus"] == "Success"
    assert left.home.marked(message.kwargs["summary"]["InvokeId"]) == {"i-5": 1}


async def test_messages_about_instances_are_carried_out(left: Restored, console: Console) -> None:
    """prepare on i-4; power on i-10 (its command only leaves a line)."""
    note = left.home.marks / "rebooted"

    async def prepared() -> bool:
        contacts = await console.plane.store.instances.contacts([InstanceId("i-4")])
        return contacts[InstanceId("i-4")].facts is not None

    await eventually_async(prepared, within=60)
    await asyncio.to_thread(eventually, lambda: note.exists() and note.read_text(), within=60)

    assert note.read_text() == "once\n"


async def test_listings_list(left: Restored, console: Console) -> None:
    ids = left.scene.invoke_ids
    tagged = DescribeInvocations(tag=[Tag(key="team", value="blue")])
    of_command = DescribeInvocations(command_id=left.scene.command_id)
    failed = await ask(console, DescribeInvocationResults(invoke_id=ids["failed"]))
    sent = DescribeSendFileResults(invoke_id=ids["file"])
    (kept,) = (await ask(console, DescribeCommands(name="kept"))).commands
    calls = (await ask(console, DescribeAuditRecords(action_name="CreateCommand"))).audit_records

    assert [one.invoke_id for one in (await ask(console, tagged)).invocations] == [ids["ended"]]
    assert ids["invoked"] in {one.invoke_id for one in (await ask(console, of_command)).invocations}
    assert [one.exit_code for one in failed.invocation.invocation_results] == [3]
    assert [one.invoke_id for one in (await ask(console, sent)).invocations] == [ids["file"]]
    assert (kept.command_id, kept.description) == (left.scene.command_id, "said to everybody")
    assert [one.outcome for one in calls] == ["Success"]


async def test_a_kept_command_runs_again(left: Restored, console: Console) -> None:
    request = InvokeCommand(
        command_id=left.scene.command_id, instance_id=["i-1"], parameters={"greeting": "again"}
    )

    invoke_id = InvokeId((await ask(console, request)).invoke_id)

    assert await console.closed(invoke_id, within=60) == {S.SUCCESS: 1}
    assert await console.output(RunKey(invoke_id, InstanceId("i-1"))) == b"again\n"


async def test_a_token_used_before_opens_nothing_new(left: Restored, console: Console) -> None:
    answer = await ask(console, WITH_TOKEN)

    assert answer.invoke_id == left.scene.invoke_ids["with-token"]


async def test_events_of_before_can_be_read(left: Restored, console: Console) -> None:
    seen = await console.plane.store.events.after(OLDEST, limit=1_000)

    told = {(event.kind, event.invoke_id) for event in seen.events}
    assert (EventKind.CLOSED, left.scene.invoke_ids["ended"]) in told


def test_an_access_key_authenticates(left: Restored) -> None:
    async def listed() -> Any:
        client = AsyncClient(endpoint.url, (left.scene.key_id, left.scene.key_secret))
        try:
            return await client.send(DescribeInvocations(invoke_id=left.scene.invoke_ids["ended"]))
        finally:
            await client.close()

    with endpoint_of(left.home, **left.settings) as endpoint:
        answer = asyncio.run(listed())
        keys = endpoint.client.send(DescribeAccessKeys()).access_keys

    assert [one.invoke_id for one in answer.invocations] == [left.scene.invoke_ids["ended"]]
    assert left.scene.key_id in {key.access_key_id for key in keys}


async def test_what_waits_for_a_boot_runs_at_the_next_one(left: Restored, console: Console) -> None:
    """The last: its hosts have another boot from here on."""
    invoke_id = InvokeId(left.scene.invoke_ids["boot"])
    for name in ("running", "adrift", "launching", "large", "capped"):
        await console.closed(InvokeId(left.scene.invoke_ids[name]), within=60)

    left.home.sshd.boot("a-later-boot")

    assert await console.closed(invoke_id, within=60) == {S.SUCCESS: 1}
    assert left.home.marked(invoke_id) == {"i-9": 1}
