"""Hosts that cannot be reached: each run ends with the code that says why, and nothing was started."""

import asyncio
import signal
from functools import partial
from pathlib import Path

import pytest

from cloudassist_tasks import wiring
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import delivery_deadline
from cloudassist_tasks.engine import execute as engine_execute
from cloudassist_tasks.engine.delivery_deadline import DeliveryDeadline
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.ssh import gate as connect_gate
from tests.engine.silence import black_hole, connecting, refusing_port, silent_port
from tests.engine.sleeping import falling_asleep
from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.plane import Console, Installation
from tests.support.processes import end
from tests.support.sshd import make_key


async def test_a_refused_port_is_tried_for_a_while_then_aborted(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_deadline, "REFUSED_RETRY_S", 2)
    with refusing_port() as port:
        async with home.console() as console:
            worker = await console.worker()
            await console.register_one("i-x", port=port)
            (key,) = await console.launch("true", "i-x")

            await execute(worker, key)

            run = await console.run(key)
            assert (run.status, run.error_code) == (RunStatus.ABORTED, ErrorCode.CLIENT_NOT_RUNNING)
            assert "i-x" in run.error_info


async def test_an_sshd_that_restarts_in_time_gets_its_run(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_deadline, "REFUSED_RETRY_S", 60)
    async with home.console() as console:
        worker = await console.worker()
        home.sshd.stop()
        (key,) = await console.launch(home.marking())

        going = asyncio.create_task(execute(worker, key))
        await asyncio.to_thread(eventually, lambda: key in worker.carried)
        await asyncio.to_thread(home.sshd.start)
        await going

        assert (await console.run(key)).status == RunStatus.SUCCESS
        assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_waiting_for_a_turn_to_connect_is_not_the_hosts_time(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect_gate, "SILENT_AFTER_S", 60)  # who is silent keeps its turn
    with black_hole() as port:
        async with home.console(CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S="4") as console:
            worker = await console.worker(ssh_connects_at_once=1)
            (first,) = await console.launch("true")  # then the host is prepared
            await execute(worker, first)
            for silent in ("i-x", "i-y"):
                await console.register_one(silent, port=port)
            keys = [(await console.launch("true", name))[0] for name in ("i-x", "i-y", "i-1")]

            await asyncio.gather(*(execute(worker, key) for key in keys))

            ends = [(await console.run(key)).status for key in keys]
            assert ends == [RunStatus.ABORTED, RunStatus.ABORTED, RunStatus.SUCCESS]


def test_waiting_for_another_turn_is_not_the_hosts_time_either() -> None:
    """Of thousands of hosts one is tried again after all the others had their turn."""
    times = iter([100.0, 105.0, 185.0])
    deadline = DeliveryDeadline(60, lambda: next(times))

    left_s = [deadline.left_s(), deadline.left_s()]
    deadline.excuse(80)

    assert [*left_s, deadline.left_s()] == [60, 55, 55]


async def test_hosts_that_are_gone_hold_up_none_that_are_there(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "ConnectLimits", partial(ConnectLimits, connect_s=600))
    with black_hole() as port:
        async with home.console(CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S="600") as console:
            worker = await console.worker(ssh_connects_at_once=2)
            gone = []
            for name in ("i-x", "i-y", "i-z"):
                await console.register_one(name, port=port)
                (key,) = await console.launch("true", name)
                gone.append(asyncio.create_task(execute(worker, key)))
            await asyncio.to_thread(eventually, lambda: len(worker.carried) == len(gone))
            (key,) = await console.launch(home.marking())

            try:
                async with asyncio.timeout(60):
                    await execute(worker, key)
            finally:
                for one in gone:
                    one.cancel()
                await asyncio.wait(gone)

            assert (await console.run(key)).status == RunStatus.SUCCESS


async def test_a_time_in_which_we_slept_is_not_the_hosts(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by simulation: a worker that was stopped in its first attempt gave the host up at once."""
    async with home.console(CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S="10") as console:
        tried = falling_asleep(monkeypatch, engine_execute, for_s=11)
        worker = await console.worker(lease_s=60)
        (key,) = await console.launch(home.marking())

        await execute(worker, key)

        assert (await console.run(key)).status == RunStatus.SUCCESS
        assert set(tried) == {"i-1"}
        assert len(tried) >= 2
        assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_black_hole_ends_with_delivery_timeout_in_the_delivery_time(home: Installation) -> None:
    with black_hole() as port:
        async with home.console(CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S="1") as console:
            worker = await console.worker()
            await console.register_one("i-x", port=port)
            (key,) = await console.launch("true", "i-x")

            begun_s = worker.awake.time()
            await execute(worker, key)
            took_s = worker.awake.time() - begun_s

            run = await console.run(key)
            assert (run.status, run.error_code) == (RunStatus.ABORTED, ErrorCode.DELIVERY_TIMEOUT)
            assert took_s < 8  # not the ten seconds of one attempt to connect


async def test_a_wrong_host_key_is_refused_at_once(console: Console, tmp_path: Path) -> None:
    worker = await console.worker()
    await console.register_one("i-x", host_key=make_key(tmp_path / "other"))
    (key,) = await console.launch(console.home.marking(), "i-x")

    await execute(worker, key)

    run = await console.run(key)
    assert (run.status, run.error_code) == (RunStatus.ABORTED, ErrorCode.CLIENT_NOT_ONLINE)
    assert console.home.marked(key.invoke_id) == {}


async def test_a_stop_while_connecting_cancels_at_once(home: Installation) -> None:
    """R4: Cancelled means that it never starts, and nobody waits for the connect's deadline."""
    with silent_port() as port:
        async with connecting(home, port) as (console, worker, key, going):
            begun_s = worker.awake.time()
            await console.stop(key.invoke_id)
            await going
            took_s = worker.awake.time() - begun_s

            assert await console.closed(key.invoke_id) == {RunStatus.CANCELLED: 1}
            assert took_s < 5


async def test_a_stop_between_two_attempts_cancels_at_once(home: Installation) -> None:
    with refusing_port() as port:
        async with connecting(home, port) as (console, _, key, going):
            await console.stop(key.invoke_id)
            await going

            assert await console.closed(key.invoke_id) == {RunStatus.CANCELLED: 1}


async def test_an_unreachable_instance_does_not_touch_another(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1: the state on one instance never affects another."""
    monkeypatch.setattr(delivery_deadline, "REFUSED_RETRY_S", 1)
    with refusing_port() as port:
        worker = await console.worker()
        await console.register_one("i-x", port=port)
        keys = await console.launch("true", "i-x", "i-1")

        await asyncio.gather(*(execute(worker, key) for key in keys))

        assert await console.closed(keys[0].invoke_id) == {RunStatus.ABORTED: 1, RunStatus.SUCCESS: 1}


async def test_a_host_that_is_lost_after_the_launch_is_let_go_and_looked_at_later(
    home: Installation,
) -> None:
    """Fault 15: nothing is guessed; the host finishes alone and the result waits there."""
    async with home.console() as console:
        worker, gate = await console.worker(), home.directory / "lost"
        (key,) = await console.launch(home.marking(f"{until(gate)}; echo done"))
        going = asyncio.create_task(execute(worker, key))
        await console.reaches(key, RunStatus.RUNNING)

        connections = home.sshd.connection_pids()
        home.sshd.stop()
        end(connections, signal.SIGKILL)
        await going
        lost = await console.run(key)
        gate.touch()
        await asyncio.to_thread(eventually, lambda: not home.processes_of(key.invoke_id, "i-1"))
        home.sshd.start()
        await execute(worker, key)

        assert (lost.status, lost.worker) == (RunStatus.RUNNING, None)
        assert (await console.run(key)).status == RunStatus.SUCCESS
        assert await console.output(key) == b"done\n"
        assert home.marked(key.invoke_id) == {"i-1": 1}
