"""Real workers, some of which die, over hosts that start again and again: each boot runs it once."""

from collections.abc import AsyncIterator, Iterator

import pytest

from cloudassist_tasks.contract.invocations import RunCommand
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.operations.handling import handle
from tests.processes.conftest import Crew
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation, private_installation

OFTEN_S = "0.5"


@pytest.fixture(scope="module")
def home() -> Iterator[Installation]:
    """Hosts whose boots are the test's."""
    with private_installation() as own:
        own.sshd.start_with_boot_id("boot-0", up_s=86_400)
        yield own


@pytest.fixture
async def console(home: Installation, crew: Crew) -> AsyncIterator[Console]:
    async with home.console(3) as opened:
        yield opened


async def test_each_boot_runs_once_on_each_host_though_workers_die_and_none_is_up_for_a_while(
    console: Console, home: Installation, crew: Crew
) -> None:
    workers = [crew.another(CLOUDASSIST_BOOT_LOOK_S=OFTEN_S) for _ in range(2)]
    ids = ["i-1", "i-2", "i-3"]
    request = RunCommand(
        type="RunShellScript",
        command_content=home.marking(),
        enable_parameter=True,
        instance_id=ids,
        repeat_mode="EveryReboot",
    )
    invoke_id = InvokeId((await handle(console.plane, request, LOCAL)).invoke_id)

    async def known_everywhere() -> bool:
        found = [await console.plane.store.schedules.known_boot(invoke_id, InstanceId(one)) for one in ids]
        return all(one is not None and one.id for one in found)

    async def ran(times: int) -> None:
        async def has_run() -> bool:
            rests = await console.tally(invoke_id) == {RunStatus.SCHEDULED: len(ids)}
            return rests and home.marked(invoke_id) == dict.fromkeys(ids, times)

        await eventually_async(has_run, within=60)

    await eventually_async(known_everywhere, within=30)
    home.sshd.reboot("boot-1")
    await ran(1)
    workers[0].process.kill()
    home.sshd.reboot("boot-2")
    await ran(2)
    crew.none()
    home.sshd.reboot("boot-3")
    crew.another(CLOUDASSIST_BOOT_LOOK_S=OFTEN_S)
    await ran(3)
    crew.none()

    assert await console.plane.store.schedules.round_count(invoke_id) == 9
