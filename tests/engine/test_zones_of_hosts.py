"""Schedules in the zone of their instances, over real hosts whose administrators move them about."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.contract.invocations import ModifyInvocationAttribute, RunCommand, StopInvocation
from cloudassist_tasks.contract.schedules import DescribeSchedules, ScheduleItem
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.engine import hosts_zone
from cloudassist_tasks.operations.handling import handle
from tests.support.etc import PrivateEtc
from tests.support.plane import Console, Installation
from tests.support.sshd import Sshd, private_sshd

NOON = "0 0 12 * * ?"


@dataclass
class Place:
    """Hosts with an /etc of their own."""

    sshd: Sshd
    etc: PrivateEtc


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    def etc(name: str) -> PrivateEtc:
        scratch: Path = tmp_path_factory.mktemp(name)
        return PrivateEtc(scratch)

    here, there = etc("here"), etc("there")
    with private_sshd(within=here.within) as one, private_sshd(within=there.within) as other:
        yield Place(one, here), Place(other, there)


@pytest.fixture
async def console(home: Installation, places: tuple[Place, Place]) -> AsyncIterator[Console]:
    """i-1 and i-2 in Shanghai, i-3 in Berlin; i-4 does not answer. A schedule is in its instances' zone."""
    here, there = places
    here.etc.move_to("Asia/Shanghai")
    there.etc.move_to("Europe/Berlin")
    async with home.console(0, CLOUDASSIST_SCHEDULE_ZONE="instance") as opened_:
        made = [
            here.sshd.instance("i-1", "127.0.0.1"),
            here.sshd.instance("i-2", "127.0.0.2"),
            there.sshd.instance("i-3", "127.0.0.3"),
            there.sshd.instance("i-4", "127.0.0.4", port=1),
        ]
        await opened_.plane.store.instances.add(made)
        yield opened_


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that answer may take their time."""
    monkeypatch.setattr(hosts_zone, "WITHIN_S", 60.0)


async def opened(console: Console, *ids: str, frequency: str = NOON, **more: Any) -> str:
    request = RunCommand(
        type="RunShellScript", command_content="true", instance_id=ids, frequency=frequency, **more
    )
    return (await handle(console.plane, request, LOCAL)).invoke_id


async def changed(console: Console, invoke_id: str, **changes: Any) -> None:
    await handle(console.plane, ModifyInvocationAttribute(invoke_id=invoke_id, **changes), LOCAL)


async def shown(console: Console, invoke_id: str) -> ScheduleItem:
    return (await handle(console.plane, DescribeSchedules(invoke_id=invoke_id), LOCAL)).schedules[0]


async def known_zone(console: Console, instance_id: str) -> str:
    return (await console.plane.store.instances.contacts([InstanceId(instance_id)]))[
        InstanceId(instance_id)
    ].zone


async def test_a_schedule_is_in_the_zone_of_its_instances(console: Console) -> None:
    invoke_id = await opened(console, "i-1", "i-2")

    schedule = await shown(console, invoke_id)
    assert (schedule.zone, schedule.words) == ("Asia/Shanghai", "at 12:00 each day, Asia/Shanghai")
    assert schedule.next_time.endswith("T04:00:00Z")
    assert await known_zone(console, "i-2") == "Asia/Shanghai"


async def test_it_stays_there_when_its_host_moves_and_the_next_one_does_not(
    console: Console, places: tuple[Place, Place]
) -> None:
    before = await opened(console, "i-1")
    places[0].etc.move_to("Asia/Tokyo")
    after = await opened(console, "i-1")

    assert [(await shown(console, one)).zone for one in (before, after)] == ["Asia/Shanghai", "Asia/Tokyo"]
    assert (await shown(console, before)).next_time.endswith("T04:00:00Z")


async def test_instances_in_two_zones_are_refused_by_name(console: Console) -> None:
    with pytest.raises(Refused, match="i-1 is in Asia/Shanghai and i-3 in Europe/Berlin") as refused:
        await opened(console, "i-1", "i-2", "i-3")

    assert refused.value.kind is Kind.BAD_FREQUENCY
    assert (await handle(console.plane, DescribeSchedules(), LOCAL)).schedules == ()


async def test_one_that_never_answered_is_refused_with_the_reason(console: Console) -> None:
    with pytest.raises(Refused, match=r"time zone of i-4 is not known \(.*127\.0\.0\.4:1") as refused:
        await opened(console, "i-1", "i-4")

    assert refused.value.kind is Kind.BAD_FREQUENCY


async def test_one_whose_host_names_no_zone_is_refused(console: Console, places: tuple[Place, Place]) -> None:
    await opened(console, "i-1")
    places[0].etc.write("timezone", b"Nowhere/At_All\n")

    with pytest.raises(Refused, match=r"time zone of i-1 is not known \(its host names none"):
        await opened(console, "i-1")


async def test_one_that_is_down_counts_with_the_zone_it_had(console: Console) -> None:
    await console.plane.store.instances.record_zone(InstanceId("i-4"), "Europe/Berlin")

    invoke_id = await opened(console, "i-3", "i-4")

    assert (await shown(console, invoke_id)).zone == "Europe/Berlin"


@pytest.mark.parametrize("frequency", ["rate(1h)", "at(2098-12-31 23:00:00)", f"{NOON} Europe/Berlin"])
async def test_hosts_are_not_asked_where_their_zone_does_not_matter(console: Console, frequency: str) -> None:
    await opened(console, "i-1", "i-3", "i-4", frequency=frequency)

    assert await known_zone(console, "i-1") == ""


async def test_the_zone_of_a_request_wins_over_the_setting_either_way(
    home: Installation, console: Console
) -> None:
    named = await opened(console, "i-1", "i-4", zone="Europe/Berlin")
    async with home.console(0, emptied=False) as in_utc:
        plain = await opened(in_utc, "i-1", "i-4")
        asked = await opened(in_utc, "i-1", zone="instance")

    zones = [(await shown(console, one)).zone for one in (named, plain, asked)]
    assert zones == ["Europe/Berlin", "UTC", "Asia/Shanghai"]


async def test_another_frequency_has_the_zone_read_anew(
    console: Console, places: tuple[Place, Place]
) -> None:
    invoke_id = await opened(console, "i-1", frequency="rate(1h)")
    await changed(console, invoke_id, frequency=NOON)
    first = await shown(console, invoke_id)
    places[0].etc.move_to("Asia/Tokyo")
    await changed(console, invoke_id, frequency="0 0 13 * * ?")

    second = await shown(console, invoke_id)
    assert (first.zone, first.next_time[-9:]) == ("Asia/Shanghai", "04:00:00Z")
    assert (second.zone, second.next_time[-9:]) == ("Asia/Tokyo", "04:00:00Z")


async def test_other_changes_leave_the_zone_alone(console: Console, places: tuple[Place, Place]) -> None:
    invoke_id = await opened(console, "i-1")
    places[0].etc.move_to("Asia/Tokyo")

    await changed(console, invoke_id, command_content="false", instance_id=["i-1"])

    assert (await shown(console, invoke_id)).zone == "Asia/Shanghai"


async def test_an_instance_of_another_zone_is_not_added(console: Console) -> None:
    invoke_id = await opened(console, "i-1")

    with pytest.raises(Refused, match="this one is in Asia/Shanghai and i-3 in Europe/Berlin") as refused:
        await changed(console, invoke_id, instance_id=["i-3"])
    await changed(console, invoke_id, instance_id=["i-2"])
    with pytest.raises(Refused, match="i-1 is in Asia/Shanghai and i-3 in Europe/Berlin"):
        await changed(console, invoke_id, instance_id=["i-3"], frequency="0 0 13 * * ?")

    assert refused.value.kind is Kind.BAD_FREQUENCY
    assert (await console.invocation(invoke_id)).total == 2  # type: ignore[arg-type]


async def test_what_is_wrong_with_an_expression_is_said_without_asking(console: Console) -> None:
    with pytest.raises(Refused, match="hour"):
        await opened(console, "i-1", frequency="0 0 25 * * ?")
    with pytest.raises(Refused, match="no time to come"):
        await opened(console, "i-1", frequency="0 0 12 * * ? 2020")

    assert await known_zone(console, "i-1") == ""


async def test_a_repeated_call_gives_the_schedule_as_it_is(
    console: Console, places: tuple[Place, Place]
) -> None:
    first = await opened(console, "i-1", client_token="once")
    places[0].etc.move_to("Asia/Tokyo")

    again = await opened(console, "i-1", client_token="once")

    assert again == first
    assert (await shown(console, first)).zone == "Asia/Shanghai"


async def test_one_that_has_left_has_no_say_in_the_zone_of_another_frequency(
    console: Console, places: tuple[Place, Place]
) -> None:
    places[1].etc.move_to("Asia/Shanghai")
    invoke_id = await opened(console, "i-1", "i-3")
    places[1].etc.move_to("Europe/Berlin")
    with pytest.raises(Refused, match="i-3 in Europe/Berlin"):
        await changed(console, invoke_id, frequency="0 0 13 * * ?")

    await handle(console.plane, StopInvocation(invoke_id=invoke_id, instance_id=["i-3"]), LOCAL)
    await changed(console, invoke_id, frequency="0 0 13 * * ?")

    assert (await shown(console, invoke_id)).words == "at 13:00 each day, Asia/Shanghai"
