"""A worker process runs an instance's power command, whatever its pool; here that only writes itself down."""

import asyncio

import pytest

from cloudassist_tasks.contract.power import RebootInstance
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.operations.handling import handle
from tests.processes.conftest import Crew
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation


@pytest.mark.parametrize("pool", ["custom", "threads", "prefork"])
async def test_a_worker_runs_the_power_command(
    console: Console, home: Installation, crew: Crew, pool: str
) -> None:
    crew.none()
    await asyncio.to_thread(lambda: crew.another(pool, concurrency=3))
    note = home.directory / f"switched-{pool}"
    command = f"env | grep ^CLOUDASSIST_ | sort > {note}.part; mv {note}.part {note}"
    await console.register_one("i-switched", name="web", power_commands={"reboot": command})

    await handle(console.plane, RebootInstance(instance_id="i-switched"), LOCAL)

    async def ended() -> bool:
        instance_id = InstanceId("i-switched")
        return bool((await console.plane.store.power.last([instance_id]))[instance_id].ended_ms)

    await eventually_async(ended, within=20)
    assert note.read_text().splitlines() == [
        "CLOUDASSIST_INSTANCE_HOST=127.0.0.1",
        "CLOUDASSIST_INSTANCE_ID=i-switched",
        "CLOUDASSIST_INSTANCE_NAME=web",
        "CLOUDASSIST_POWER_ACTION=reboot",
        "CLOUDASSIST_POWER_FORCE=0",
    ]
