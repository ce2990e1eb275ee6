"""The network and sshd fail in the middle: nothing hangs, nothing runs twice, nothing half-sent runs."""

import asyncio
import secrets
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cloudassist_tasks.domain.errors import LostContact, Unreachable
from cloudassist_tasks.ports.transport import Attachment, Event, HostState, Started
from tests.ports.transport.peers import proxy_to
from tests.ports.transport.ways import PATIENT, Way, ended, output_of, payload, run, stopped, transports
from tests.support.eventually import eventually_async
from tests.support.gates import until
from tests.support.sshd import Sshd, private_sshd


@pytest.fixture
def run_id() -> str:
    return f"t-{secrets.token_hex(6)}.i-1.0"


async def test_a_script_cut_in_the_middle_of_its_upload_never_starts(
    ssh: Way, run_id: str, tmp_path: Path
) -> None:
    """Fault 1."""
    mark = tmp_path / "mark"
    script = f"touch {mark}\n" + "# padding\n" * 2000
    async with proxy_to(ssh.sshd.port) as proxy:
        far = ssh.instance(host="127.0.0.1", port=proxy.port)
        async with ssh.reach(far) as reached:
            attachment = await reached.host.launch(run_id, user="")
            proxy.cut_after = proxy.forwarded + 4000

            with pytest.raises(LostContact):
                await begun_and_followed(attachment, script)
            await attachment.close()

    async with ssh.reach() as reached:
        report = (await reached.host.collect({run_id: 0}, user=""))[run_id]
        assert report.state in (HostState.ABSENT, HostState.PREPARED)
        assert not mark.exists()
        events = await run(reached.host, run_id, script)
    assert ended(events).exit_code == 0
    assert mark.exists()


async def test_a_connection_cut_after_the_upload_leaves_a_run_that_is_found(
    ssh: Way, run_id: str, tmp_path: Path
) -> None:
    """Fault 2: the reply is lost; looking again shows the run, and a launch is a no-op."""
    gate = tmp_path / "gate"
    impatient = Way(ssh.name, ssh.sshd, transports(ssh.name, replace(PATIENT, banner_tries=1)))
    async with proxy_to(ssh.sshd.port) as proxy:
        far = ssh.instance(host="127.0.0.1", port=proxy.port)
        async with impatient.reach(far) as reached:
            attachment = await reached.host.launch(run_id, user="")
            await attachment.begin(payload(f"{until(gate)}; echo once"))
            assert isinstance(await anext(attachment.events()), Started)
            proxy.cut_after = 0
            with pytest.raises((LostContact, Unreachable)):
                await reached.host.collect({run_id: 0}, user="")
            await attachment.close()
    await impatient.transports.close()
    gate.touch()

    async with ssh.reach() as reached:
        again = await reached.host.launch(run_id, user="")
        assert again.greeting.state in (HostState.RUNNING, HostState.DONE)
        await again.close()
        following = await reached.host.follow(run_id, user="", offset=0)
        events = [event async for event in following.events()]
        await following.close()
    assert output_of(events) == b"once\n"


async def test_a_half_open_connection_is_lost_within_its_deadline(ssh: Way, run_id: str) -> None:
    limits = replace(PATIENT, keepalive_s=0.5, keepalive_misses=20)
    way = Way(ssh.name, ssh.sshd, transports(ssh.name, limits))
    async with proxy_to(ssh.sshd.port) as proxy:
        far = ssh.instance(host="127.0.0.1", port=proxy.port)
        async with way.reach(far) as reached:
            attachment = await reached.host.launch(run_id, user="")
            await attachment.begin(payload("sleep 600", timeout_s=600))
            events = attachment.events()
            assert isinstance(await anext(events), Started)

            proxy.frozen = True
            async with asyncio.timeout(90):
                with pytest.raises(LostContact, match=r"i-1 \(127\.0\.0\.1"):
                    await anext(events)
            await attachment.close()
    await way.transports.close()

    async with ssh.reach() as reached:
        again = await reached.host.follow(run_id, user="", offset=0)
        assert again.greeting.state is HostState.RUNNING
        await stopped(again, reached.host, run_id)


async def test_a_channel_that_a_frozen_host_does_not_open_has_a_deadline(ssh: Way, run_id: str) -> None:
    limits = replace(PATIENT, channel_s=0.5)
    way = Way(ssh.name, ssh.sshd, transports(ssh.name, limits))
    async with proxy_to(ssh.sshd.port) as proxy:
        far = ssh.instance(host="127.0.0.1", port=proxy.port)
        async with ssh.reach() as known, way.reach(far, facts=known.facts) as reached:
            proxy.frozen = True
            async with asyncio.timeout(30):
                with pytest.raises(Unreachable, match=r"i-1 \(127\.0\.0\.1"):
                    await reached.host.launch(run_id, user="")
            proxy.frozen = False

            async def thawed() -> bool:
                try:
                    return output_of(await run(reached.host, run_id, "echo thawed")) == b"thawed\n"
                except Unreachable:  # its deadline holds for a busy host too
                    return False

            await eventually_async(thawed, within=30)
    await way.transports.close()


async def test_connections_dropped_by_max_startups_are_tried_again(ssh: Way) -> None:
    limits = replace(PATIENT, min_connecting=2, banner_pause_s=0.05, banner_tries=12)
    way = Way(ssh.name, ssh.sshd, transports(ssh.name, limits))
    with private_sshd(MaxStartups="3:50:10") as crowded:
        crowd = Way(ssh.name, crowded, way.transports)

        async def one(number: int) -> bytes:
            async with crowd.reach(crowd.instance(f"i-{number}", f"127.0.4.{number}")) as reached:
                return output_of(await run(reached.host, f"t-crowd.i-{number}.0", f"echo {number}"))

        outputs = await asyncio.gather(*(one(number) for number in range(1, 31)))
        assert "drop connection" in crowded.log_tail() or "MaxStartups" in crowded.log.read_text()
        await way.transports.close()

    assert outputs == [f"{number}\n".encode() for number in range(1, 31)]


async def test_refused_channels_are_tried_again_until_there_is_room(ssh: Way) -> None:
    """An administrator's MaxSessions of 2 is below what we ask for."""
    with private_sshd(MaxSessions="2") as narrow:
        way = Way(ssh.name, narrow, transports(ssh.name))
        async with way.reach() as reached:
            results = await asyncio.gather(
                *(run(reached.host, f"t-narrow.{n}.0", f"sleep 0.2; echo {n}") for n in range(6))
            )
        await way.transports.close()

    assert [output_of(events) for events in results] == [f"{n}\n".encode() for n in range(6)]


async def test_a_server_without_any_room_is_told_apart_from_silence(ssh: Way) -> None:
    with private_sshd(MaxSessions="0") as closed:
        way = Way(ssh.name, closed, transports(ssh.name, replace(PATIENT, channel_s=0.5)))
        with pytest.raises(Unreachable, match="MaxSessions"):
            async with way.reach():
                pass
        await way.transports.close()


async def test_a_terminated_sshd_leaves_runs_alone_and_is_reached_again(
    ssh: Way, own_sshd: Sshd, run_id: str
) -> None:
    way = Way(ssh.name, own_sshd, ssh.transports)
    async with way.reach() as reached:
        attachment = await reached.host.launch(run_id, user="")
        await attachment.begin(payload("sleep 600", timeout_s=600))
        assert isinstance(await anext(attachment.events()), Started)

        own_sshd.cut_connections(signal.SIGTERM)
        own_sshd.stop()
        with pytest.raises(LostContact):
            [event async for event in attachment.events()]
        with pytest.raises(Unreachable, match="is sshd up"):
            await reached.host.collect({run_id: 0}, user="")
        with pytest.raises(Unreachable) as unfenced:  # fault 41: nothing is claimed of a silent host
            await reached.host.cancel(run_id, user="")
        assert unfenced.value.retry_helps
        await attachment.close()

        own_sshd.start()
        reports = await reached.host.collect({run_id: 0}, user="")
        assert reports[run_id].state is HostState.RUNNING
        await reached.host.cancel(run_id, user="")


async def test_connections_are_shared_kept_and_closed_when_idle(ssh: Way, own_sshd: Sshd) -> None:
    way = Way(ssh.name, own_sshd, transports(ssh.name, replace(PATIENT, keep_s=2)))

    async def one() -> None:
        async with way.reach() as reached:
            assert ended(await run(reached.host, f"t-{secrets.token_hex(6)}.i-1.0", "true")).exit_code == 0

    await asyncio.gather(*(one() for _ in range(5)))
    await one()
    assert own_sshd.log.read_text().count("Accepted publickey") == 1

    async def idle_is_closed() -> bool:
        return not own_sshd.connection_pids()

    await eventually_async(idle_is_closed, within=30)
    await way.transports.close()


async def test_a_changed_registration_is_another_connection(ssh: Way, own_sshd: Sshd) -> None:
    way = Way(ssh.name, own_sshd, ssh.transports)
    async with way.reach():
        pass
    async with way.reach(way.instance(host="127.0.0.9")):
        pass
    async with way.reach(way.instance(tags={"a": "b"}, name="renamed")):
        pass

    assert own_sshd.log.read_text().count("Accepted publickey") == 2


async def test_at_the_bound_an_idle_connection_makes_room(ssh: Way, own_sshd: Sshd) -> None:
    limits = replace(PATIENT, max_connections=2, connect_s=30)
    way = Way(ssh.name, own_sshd, transports(ssh.name, limits))
    for number in range(1, 5):
        async with way.reach(way.instance(f"i-{number}", f"127.0.5.{number}")):
            pass
    await way.transports.close()

    full = Way(ssh.name, own_sshd, transports(ssh.name, replace(limits, connect_s=1)))
    async with full.reach(way.instance("i-1", "127.0.5.1")), full.reach(way.instance("i-2", "127.0.5.2")):
        with pytest.raises(Unreachable, match="raise the limit"):
            async with full.reach(way.instance("i-3", "127.0.5.3")):
                pass
    await full.transports.close()


async def test_a_cancelled_reach_leaves_nothing_behind(ssh: Way, own_sshd: Sshd) -> None:
    way = Way(ssh.name, own_sshd, transports(ssh.name, replace(PATIENT, max_connections=1)))
    for pause_s in (0.0, 0.005, 0.02, 0.05):
        task = asyncio.create_task(run_once(way))
        await asyncio.sleep(pause_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert output_of(await run_once(way)) == b"ok\n"
    await way.transports.close()


async def begun_and_followed(attachment: Attachment, script: str) -> list[Event]:
    """Its events; the cut may be noticed while sending or after."""
    await attachment.begin(payload(script))
    return [event async for event in attachment.events()]


async def run_once(way: Way) -> list[Event]:
    """One run with everything around it."""
    async with way.reach() as reached:
        return await run(reached.host, f"t-{secrets.token_hex(6)}.i-1.0", "echo ok")
