"""Machines are switched by their owners' commands alone; here each only writes down that it was run."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.contract.errors import wire_error_of
from cloudassist_tasks.contract.extensions import DescribeRegistrations, RegistrationItem
from cloudassist_tasks.contract.instances import DescribeCloudAssistantStatus, DescribeInstances
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.power import (
    RebootInstance,
    RebootInstances,
    StartInstance,
    StartInstances,
    StopInstance,
    StopInstances,
)
from cloudassist_tasks.domain.access import Caller, Role
from cloudassist_tasks.domain.errors import Broken, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import InstanceStatus
from cloudassist_tasks.domain.power import PowerAction, PowerKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.power import QUEUE_S, carry_out, expire, take_back
from cloudassist_tasks.operations import instances
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.transports.power import ShellSwitch
from tests.support.eventually import eventually
from tests.support.plane import Console, Installation
from tests.support.processes import any_alive

OWNER = Caller(name="owner", role=Role.ADMIN)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where the commands write that they were run."""
    return tmp_path / "notes"


@pytest.fixture
async def switched(console: Console, notes: Path) -> Console:
    """i-1 and i-2 can be switched, i-3 cannot; i-2's stop command fails."""
    note = f'echo "$CLOUDASSIST_INSTANCE_ID $CLOUDASSIST_POWER_ACTION $CLOUDASSIST_POWER_FORCE" >> {notes}'
    commands = dict.fromkeys(("start", "stop", "reboot"), note)
    await console.register_one("i-1", power_commands=commands)
    await console.register_one("i-2", power_commands={**commands, "stop": "echo out of order; exit 7"})
    return console


def noted(notes: Path) -> list[str]:
    return notes.read_text().splitlines() if notes.exists() else []


async def refusal(console: Console, operation: Operation[Any]) -> tuple[str, int]:
    with pytest.raises(Refused) as error:
        await handle(console.plane, operation, OWNER)
    return wire_error_of(error.value, type(operation))


async def status(console: Console, instance_id: str = "i-1") -> str:
    listed = await handle(console.plane, DescribeInstances(instance_ids=f'["{instance_id}"]'), OWNER)
    return listed.instances[0].status


async def registration(console: Console, instance_id: str = "i-1") -> RegistrationItem:
    owner = replace(OWNER, ours=True)
    listed = await handle(console.plane, DescribeRegistrations(instance_id=[instance_id]), owner)
    return listed.registrations[0]


def asked(home: Installation) -> list[PowerKey]:
    """What waits for workers."""
    return [
        PowerKey(instance_id=InstanceId(one.kwargs["instance_id"]), power_id=one.kwargs["power_id"])
        for one in home.messages()
        if one.task == "cloudassist.power"
    ]


async def test_an_instance_is_stopped_and_started_again(
    switched: Console, home: Installation, notes: Path
) -> None:
    await handle(switched.plane, StopInstance(instance_id="i-1", force_stop=True), OWNER)
    assert await status(switched) == "Stopping"
    (stopping,) = asked(home)
    await carry_out(switched.plane, stopping)
    assert await status(switched) == "Stopped"

    await handle(switched.plane, StartInstance(instance_id="i-1"), OWNER)
    assert await status(switched) == "Starting"
    await carry_out(switched.plane, asked(home)[-1])

    assert await status(switched) == "Running"
    assert noted(notes) == ["i-1 stop 1", "i-1 start 0"]


async def test_a_message_that_comes_twice_runs_the_command_once(
    switched: Console, home: Installation, notes: Path
) -> None:
    await handle(switched.plane, RebootInstance(instance_id="i-1"), OWNER)
    (key,) = asked(home)

    await carry_out(switched.plane, key)
    await carry_out(switched.plane, key)

    assert noted(notes) == ["i-1 reboot 0"]
    assert await status(switched) == "Running"


async def test_a_message_holds_ids_alone(switched: Console, home: Installation, notes: Path) -> None:
    await handle(switched.plane, RebootInstance(instance_id="i-1"), OWNER)

    (message,) = home.messages()

    assert {"v", "instance_id", "power_id"} == set(message.kwargs)


async def test_a_command_that_fails_leaves_the_instance_as_it_was_and_says_why(
    switched: Console, home: Installation
) -> None:
    await handle(switched.plane, StopInstance(instance_id="i-2"), OWNER)

    await carry_out(switched.plane, asked(home)[0])

    power = (await registration(switched, "i-2")).power
    assert await status(switched, "i-2") == "Running"
    assert power is not None
    assert power.error == "the stop command ended with exit code 7: out of order"
    assert power.end_time


async def test_a_command_that_does_not_end_is_killed(switched: Console, home: Installation) -> None:
    await switched.register_one("i-1", power_commands={"stop": "sleep 1000 & sleep 1000"})
    impatient = replace(switched.plane, settings=replace(switched.plane.settings, power_timeout_s=0.2))
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)

    await carry_out(impatient, asked(home)[0])

    power = (await registration(switched)).power
    assert power is not None
    assert "was killed" in power.error
    assert await status(switched) == "Running"


async def test_what_no_worker_takes_up_is_given_up(
    switched: Console, home: Installation, notes: Path
) -> None:
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)
    switched.clock.ahead_ms = 1_000 * QUEUE_S + 1

    await expire(switched.plane)

    power = (await registration(switched)).power
    assert await status(switched) == "Running"
    assert power is not None
    assert "no worker took it up" in power.error
    await carry_out(switched.plane, asked(home)[0])
    assert noted(notes) == []


async def test_what_a_worker_is_at_is_neither_taken_back_nor_given_up(
    switched: Console, home: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    os.mkfifo(gate)
    await switched.register_one("i-1", power_commands={"stop": f": > {begun}; read line < {gate}"})
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)
    (key,) = asked(home)
    at_it = asyncio.create_task(carry_out(switched.plane, key))
    await asyncio.to_thread(eventually, begun.exists)

    async def listed_before_it_was_taken(**_: Any) -> list[PowerKey]:
        return [key]

    await take_back(switched.plane, [key], PowerAction.STOP, "the broker was away")
    monkeypatch.setattr(switched.plane.store.power, "overdue", listed_before_it_was_taken)
    await expire(switched.plane)
    assert await status(switched) == "Stopping"

    await asyncio.to_thread(gate.write_text, "go\n")
    await at_it
    assert await status(switched) == "Stopped"


@pytest.mark.parametrize(
    "single", [StartInstance, StopInstance, RebootInstance], ids=lambda one: one.__name__
)
async def test_one_instance_cannot_be_switched_without_a_command(switched: Console, single: Any) -> None:
    assert await refusal(switched, single(instance_id="i-3")) == ("OperationDenied", 403)
    assert await refusal(switched, single(instance_id="i-9")) == ("InvalidInstanceId.NotFound", 404)


@pytest.mark.parametrize(
    "many", [StartInstances, StopInstances, RebootInstances], ids=lambda one: one.__name__
)
async def test_many_are_refused_together(switched: Console, home: Installation, many: Any) -> None:
    assert await refusal(switched, many(instance_id=["i-3"])) == ("OperationDenied", 403)
    assert await refusal(switched, many(instance_id=["i-1", "i-9"])) == ("InvalidInstanceId.NotFound", 404)
    too_many = many(instance_id=[f"i-{n}" for n in range(101)])
    assert await refusal(switched, too_many) == ("InvalidParameter.TooManyInstanceIds", 403)
    assert asked(home) == []


async def test_a_state_that_does_not_fit_is_refused(switched: Console, home: Installation) -> None:
    started_twice = await refusal(switched, StartInstance(instance_id="i-1"))
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)

    assert started_twice == ("IncorrectInstanceStatus", 403)
    assert await refusal(switched, StopInstance(instance_id="i-1")) == ("IncorrectInstanceStatus", 403)
    assert await refusal(switched, RebootInstance(instance_id="i-1")) == ("IncorrectInstanceStatus", 403)
    assert len(asked(home)) == 1


async def test_a_dry_run_reports_success_as_an_error_and_does_nothing(
    switched: Console, home: Installation
) -> None:
    assert await refusal(switched, StopInstance(instance_id="i-1", dry_run=True)) == ("DryRunOperation", 400)
    assert await refusal(switched, StopInstances(instance_id=["i-1"], dry_run=True)) == (
        "DRYRUN.SUCCESS",
        400,
    )
    start = StartInstance(instance_id="i-1", dry_run=True)
    assert await refusal(switched, start) == ("IncorrectInstanceStatus", 403)
    assert asked(home) == []
    assert await status(switched) == "Running"


async def test_all_together_or_as_many_as_can_be(switched: Console, home: Installation) -> None:
    ids = ["i-1", "i-3", "i-2", "i-1"]
    refused = await refusal(switched, StopInstances(instance_id=ids))

    wish = StopInstances(instance_id=ids, batch_optimization="SuccessFirst")
    answer = await handle(switched.plane, wish, OWNER)

    assert refused == ("OperationDenied", 403)
    told = [
        (one.instance_id, one.code, one.previous_status, one.current_status)
        for one in answer.instance_responses
    ]
    assert told == [
        ("i-1", "200", "Running", "Stopping"),
        ("i-2", "200", "Running", "Stopping"),
        ("i-3", "OperationDenied", "Running", "Running"),
    ]
    assert {"i-1", "i-2"} == {key.instance_id for key in asked(home)}


async def test_a_stopped_instance_takes_no_run(switched: Console, home: Installation) -> None:
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)
    await carry_out(switched.plane, asked(home)[0])
    worker = await switched.worker()
    (key,) = await switched.launch("true", "i-1")

    await execute(worker, key)

    run = await switched.run(key)
    assert (run.status, run.error_code) == (RunStatus.ABORTED, "InstanceNotRunning")


@pytest.mark.parametrize(("exit_code", "action"), [(193, "stop"), (194, "reboot")])
async def test_a_script_may_ask_for_its_machine_to_be_switched(
    switched: Console, home: Installation, notes: Path, exit_code: int, action: str
) -> None:
    worker = await switched.worker()
    with_command, without = await switched.launch(f"exit {exit_code}", "i-1", "i-3")

    await execute(worker, with_command)
    await execute(worker, without)

    (key,) = asked(home)
    await carry_out(switched.plane, key)
    assert [f"i-1 {action} 0"] == noted(notes)
    assert exit_code == (await switched.run(without)).exit_code
    assert await status(switched, "i-3") == "Running"


async def test_a_stopped_instance_that_answers_after_a_while_is_running(
    switched: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "PROBE_WITHIN_S", 60)
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)
    await carry_out(switched.plane, asked(home)[0])
    look = DescribeCloudAssistantStatus(instance_id=["i-1"])
    await handle(switched.plane, look, OWNER)
    at_once = await status(switched)
    switched.clock.ahead_ms = 1_000 * 3_600

    await handle(switched.plane, look, OWNER)

    assert at_once == "Stopped"
    assert await status(switched) == "Running"


async def test_what_is_asked_of_an_instance_that_is_removed_is_forgotten(
    switched: Console, home: Installation
) -> None:
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)
    await switched.plane.store.instances.remove(InstanceId("i-1"))
    switched.clock.ahead_ms = 1_000 * QUEUE_S + 1

    await expire(switched.plane)

    overdue = await switched.plane.store.power.overdue(now_ms=switched.clock.now_ms(), limit=10)
    assert overdue == []
    assert await switched.plane.store.instances.get(InstanceId("i-1")) is None


async def test_without_its_command_a_stopped_instance_counts_as_running_again(
    switched: Console, home: Installation
) -> None:
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)
    await carry_out(switched.plane, asked(home)[0])

    await switched.register_one("i-1")

    assert await status(switched) == InstanceStatus.RUNNING


async def test_a_command_that_ended_while_we_were_stopped_was_not_killed(tmp_path: Path) -> None:
    noted = tmp_path / "pid"

    def has_ended() -> bool:
        pid = noted.read_text() if noted.exists() else ""
        return bool(pid) and not any_alive([int(pid)])

    def stopped() -> None:
        """Nothing else has a turn: neither the command's end nor its deadline is noticed."""
        time.sleep(1)
        eventually(has_ended)

    asyncio.get_running_loop().call_later(0.1, stopped)
    end = await ShellSwitch().run(f"echo $$ > {noted}; sleep 0.3; echo done", {}, within_s=0.7)

    assert (end.exit_code, end.said) == (0, "done")


async def test_what_a_command_did_is_on_record_though_the_store_was_away_then(
    switched: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    power, away = switched.plane.store.power, [Broken("the store is away")]
    end = power.end

    async def away_once(*args: Any, **named: Any) -> Any:
        if away:
            raise away.pop()
        return await end(*args, **named)

    monkeypatch.setattr(power, "end", away_once)
    await handle(switched.plane, StopInstance(instance_id="i-1"), OWNER)
    await carry_out(switched.plane, asked(home)[0])

    assert (await status(switched), away) == ("Stopped", [])
