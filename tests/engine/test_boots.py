"""What runs when an instance starts: once per boot, however many look, and whatever was away meanwhile.

The hosts live in namespaces, in which the kernel's boot id and uptime are the test's.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cloudassist_tasks.contract.extensions import RemoveInstance
from cloudassist_tasks.contract.invocations import ModifyInvocationAttribute, StopInvocation
from cloudassist_tasks.contract.schedules import PauseSchedule, ResumeSchedule
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.instance import Contact
from cloudassist_tasks.domain.invocation import Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import boots
from cloudassist_tasks.engine.boots import look
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.host_contact import reached
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.operations.handling import handle
from tests.engine.scheduling import item, opened, published
from tests.support.plane import Console, private_installation

DAY_S, HOUR_S = 86_400, 3_600
I_1 = InstanceId("i-1")


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    """Two instances on hosts of one kernel, which has been up in `boot-a` for a day."""
    with private_installation() as own:
        own.sshd.start_with_boot_id("boot-a", up_s=DAY_S)
        async with own.console(2) as opened_:
            yield opened_


async def waiting(console: Console, mode: str = "EveryReboot") -> InvokeId:
    return await opened(console, console.home.marking(), frequency=None, repeat_mode=mode)


async def looked(console: Console, *workers: Worker) -> list[RunKey]:
    """All hosts are looked at, whoever's turn it is; the runs published."""
    console.clock.ahead_ms += 60_000
    await asyncio.gather(*(look(worker) for worker in workers))
    return [key for worker in workers for key in await published(console, worker)]


async def met(console: Console, worker: Worker) -> None:
    """Somebody has run something there, so the boot is known."""
    (once,) = await console.launch("true")
    console.home.lose_messages()
    await execute(worker, once)


async def contact_of(console: Console) -> Contact:
    return (await console.plane.store.instances.contacts([I_1]))[I_1]


async def test_each_boot_runs_it_once(console: Console) -> None:
    worker, invoke_id = await console.worker(), await waiting(console)

    looks = [await looked(console, worker) for _ in range(2)]
    for boot in ("boot-b", "boot-c"):
        console.home.sshd.boot(boot)
        [key] = await looked(console, worker)
        await execute(worker, key)
        looks += [await looked(console, worker) for _ in range(2)]

    assert looks == [[]] * 6
    assert console.home.marked(invoke_id) == {"i-1": 2}
    shown = await item(console, invoke_id)
    assert (shown.repeat_mode, shown.invocation_status, shown.timed) == ("EveryReboot", "Scheduled", True)


async def test_the_next_boot_alone_runs_it(console: Console) -> None:
    worker, invoke_id = await console.worker(), await waiting(console, "NextRebootOnly")
    await looked(console, worker)

    console.home.sshd.boot("boot-b")
    [key] = await looked(console, worker)
    await execute(worker, key)
    console.home.sshd.boot("boot-c")
    after = await looked(console, worker)

    assert after == []
    assert await console.closed(invoke_id) == {RunStatus.SUCCESS: 1}
    assert console.home.marked(invoke_id) == {"i-1": 1}


async def test_a_run_on_another_boot_has_the_host_looked_at_at_once(console: Console) -> None:
    worker = await console.worker()
    await waiting(console)
    await looked(console, worker)

    console.home.sshd.boot("boot-b")
    await met(console, worker)
    await look(worker)

    assert len(await published(console, worker)) == 1


# -- asked for while the host does not answer


async def test_a_host_that_is_down_is_waited_for(console: Console) -> None:
    worker = await console.worker()
    await met(console, worker)
    console.home.sshd.go_down()
    invoke_id = await waiting(console, "NextRebootOnly")
    down = [await looked(console, worker) for _ in range(2)]

    console.home.sshd.reboot("boot-b")
    [key] = await looked(console, worker)
    await execute(worker, key)

    assert down == [[], []]
    assert await console.closed(invoke_id) == {RunStatus.SUCCESS: 1}
    assert console.home.marked(invoke_id) == {"i-1": 1}


async def test_a_host_that_was_out_of_reach_for_a_moment_has_not_booted(console: Console) -> None:
    worker = await console.worker()
    await met(console, worker)
    console.home.sshd.go_down()
    await waiting(console)
    away = await looked(console, worker)

    console.home.sshd.start()
    back = [await looked(console, worker) for _ in range(2)]
    console.home.sshd.reboot("boot-b")
    booted = await looked(console, worker)

    assert (away, back) == ([], [[], []])
    assert len(booted) == 1


async def test_a_host_that_nobody_has_met_is_waited_for_too(console: Console) -> None:
    worker = await console.worker()
    console.home.sshd.go_down()
    invoke_id = await waiting(console)
    away = await looked(console, worker)

    console.home.sshd.reboot("boot-b")
    [key] = await looked(console, worker)
    await execute(worker, key)

    assert away == []
    assert await looked(console, worker) == []
    assert console.home.marked(invoke_id) == {"i-1": 1}


async def test_the_first_answer_ever_is_no_boot_if_the_host_was_up_before(console: Console) -> None:
    worker = await console.worker()
    console.home.sshd.go_down()
    await waiting(console)
    away = await looked(console, worker)

    console.home.sshd.start()
    first = await looked(console, worker)
    console.home.sshd.reboot("boot-b")

    assert (away, first) == ([], [])
    assert len(await looked(console, worker)) == 1


async def test_a_boot_of_before_the_request_is_none_though_it_is_not_the_one_seen_last(
    console: Console,
) -> None:
    worker = await console.worker()
    await met(console, worker)
    console.clock.ahead_ms += 1_000 * DAY_S
    console.home.sshd.reboot("boot-b", up_s=HOUR_S)

    await waiting(console)

    assert [await looked(console, worker) for _ in range(2)] == [[], []]


# -- nobody looks


@pytest.mark.parametrize("run_before_the_look", [False, True])
async def test_a_boot_while_no_worker_is_up_is_seen_afterwards(
    console: Console, run_before_the_look: bool
) -> None:
    invoke_id = await waiting(console)
    console.clock.ahead_ms += 1_000 * HOUR_S
    console.home.sshd.reboot("boot-b")

    worker = await console.worker()
    if run_before_the_look:
        await met(console, worker)
    [key] = await looked(console, worker)
    await execute(worker, key)

    assert await looked(console, worker) == []
    assert console.home.marked(invoke_id) == {"i-1": 1}


async def test_a_boot_between_two_workers_is_seen_by_the_second(console: Console) -> None:
    first = await console.worker()
    await waiting(console)
    assert await looked(console, first) == []
    await first.leave()

    console.clock.ahead_ms += 1_000 * HOUR_S
    console.home.sshd.reboot("boot-b", up_s=HOUR_S // 2)

    assert len(await looked(console, await console.worker())) == 1


async def test_runs_of_a_worker_that_died_behind_the_step_are_published(console: Console) -> None:
    worker, invoke_id = await console.worker(), await waiting(console, "NextRebootOnly")
    await looked(console, worker)
    console.home.sshd.boot("boot-b")

    died = await console.plane.store.schedules.open_round(
        invoke_id,
        why=Why.BOOT,
        batch=50,
        now_ms=console.clock.now_ms(),
        only=I_1,
        boot=("boot-a", "boot-b"),
        last=True,
    )
    looks = [await looked(console, worker) for _ in range(2)]
    await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
    await reconcile(worker)
    [key] = set(await published(console, worker))
    await execute(worker, key)

    assert died is not None
    assert looks == [[], []]
    assert await console.closed(invoke_id) == {RunStatus.SUCCESS: 1}
    assert console.home.marked(invoke_id) == {"i-1": 1}
    assert await console.plane.store.schedules.awaiting_boot(I_1) == []


# -- more than one thing at once


async def test_two_workers_that_look_at_once_open_one_round(console: Console) -> None:
    workers = [await console.worker() for _ in range(2)]
    invoke_id = await waiting(console)
    await looked(console, workers[0])
    console.home.sshd.boot("boot-b")

    for worker in workers:
        worker.looking += 1
    await asyncio.gather(*(boots._look_at(worker, I_1) for worker in workers))

    assert [key.round for key in await published(console, workers[0])] == [1]
    assert await console.plane.store.schedules.round_count(invoke_id) == 1


async def test_a_boot_in_the_midst_of_its_run_ends_that_and_opens_one_round(console: Console) -> None:
    worker = await console.worker()
    script = console.home.marking("[ -e {{ACS::InvokeId}} ] || { touch {{ACS::InvokeId}}; sleep 100; }")
    invoke_id = await opened(
        console, script, frequency=None, repeat_mode="EveryReboot", working_dir=str(console.home.marks)
    )
    await looked(console, worker)
    console.home.sshd.boot("boot-b")
    [first] = await looked(console, worker)
    running = worker.spawn(execute(worker, first))
    await console.reaches(first, RunStatus.RUNNING, within=60)
    (console.home.marks / invoke_id).write_text("")

    console.home.sshd.reboot("boot-c")
    await running
    rounds = [key.round for _ in range(2) for key in await looked(console, worker)]

    run = await console.run(first)
    assert (run.status, run.error_code) == (RunStatus.ERROR, ErrorCode.INSTANCE_RESTARTED)
    assert rounds == [2]


async def test_a_host_is_not_run_on_for_a_boot_while_its_last_run_is_open(console: Console) -> None:
    worker, invoke_id = await console.worker(), await waiting(console)
    await looked(console, worker)
    console.home.sshd.boot("boot-b")
    [first] = await looked(console, worker)

    console.home.sshd.boot("boot-c")
    meanwhile = [await looked(console, worker) for _ in range(2)]
    await execute(worker, first)
    [second] = await looked(console, worker)
    await execute(worker, second)

    assert meanwhile == [[], []]
    assert (first.round, second.round) == (1, 2)
    assert console.home.marked(invoke_id) == {"i-1": 2}


async def test_more_hosts_than_are_looked_at_at_once_are_looked_at_one_after_the_other(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boots, "AT_ONCE", 1)
    worker = await console.worker()
    await opened(console, "true", "i-1", "i-2", frequency=None, repeat_mode="EveryReboot")
    await looked(console, worker)

    console.home.sshd.boot("boot-b")

    assert sorted(key.instance_id for key in await looked(console, worker)) == ["i-1", "i-2"]


# -- who takes part


@pytest.mark.parametrize("is_looked_at", [True, False])
async def test_a_boot_during_a_pause_is_none_it_runs_for(console: Console, is_looked_at: bool) -> None:
    worker, invoke_id = await console.worker(), await waiting(console)
    await looked(console, worker)

    await handle(console.plane, PauseSchedule(invoke_id=invoke_id), LOCAL)
    console.clock.ahead_ms += 1_000 * HOUR_S
    console.home.sshd.reboot("boot-b", up_s=HOUR_S // 2)
    paused = await looked(console, worker) if is_looked_at else []
    await handle(console.plane, ResumeSchedule(invoke_id=invoke_id), LOCAL)
    resumed = [await looked(console, worker) for _ in range(2)]
    console.home.sshd.reboot("boot-c")

    assert (paused, resumed) == ([], [[], []])
    assert len(await looked(console, worker)) == 1


async def test_an_instance_that_has_left_is_looked_at_no_more_and_may_be_removed(console: Console) -> None:
    worker = await console.worker()
    invoke_id = await opened(console, "true", "i-1", "i-2", frequency=None, repeat_mode="EveryReboot")
    await looked(console, worker)

    await handle(console.plane, StopInvocation(invoke_id=invoke_id, instance_id=["i-1"]), LOCAL)
    await handle(console.plane, RemoveInstance(instance_id="i-1"), LOCAL)
    console.home.sshd.boot("boot-b")
    keys = await looked(console, worker)

    now_ms = console.clock.now_ms() + 60_000
    due = await console.plane.store.schedules.take_boots(now_ms=now_ms, again_ms=now_ms, limit=9)
    assert [key.instance_id for key in keys] == ["i-2"]
    assert list(due) == ["i-2"]


async def test_an_instance_that_is_added_is_run_on_for_boots_from_then_on(console: Console) -> None:
    worker, invoke_id = await console.worker(), await waiting(console)
    console.clock.ahead_ms += 1_000 * HOUR_S
    console.home.sshd.reboot("boot-b", up_s=HOUR_S // 2)
    request = ModifyInvocationAttribute(invoke_id=invoke_id, instance_id=["i-2"])

    await handle(console.plane, request, LOCAL)
    before = await looked(console, worker)
    console.home.sshd.boot("boot-c")
    after = await looked(console, worker)

    assert [key.instance_id for key in before] == ["i-1"]
    assert [key.instance_id for key in after] == ["i-2"]  # the run of the other is still open


async def test_a_contact_with_facts_that_were_known_says_nothing_of_the_boot(console: Console) -> None:
    worker = await console.worker()
    await met(console, worker)
    console.home.sshd.boot("boot-b")
    await met(console, worker)
    console.clock.ahead_ms += 120_000

    instance = await console.plane.store.instances.get(I_1)
    assert instance is not None
    async with reached(console.plane, instance, await contact_of(console)):
        pass

    contact = await contact_of(console)
    assert contact.last_contact_ms > contact.boot_seen_ms
    assert contact.boot_id == "boot-b"
