"""A run goes on when nobody follows it, and somebody else goes on with it: whole output, one start."""

import asyncio
from functools import partial

import pytest

from cloudassist_tasks.domain.errors import ErrorCode, RunFailed
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine import execute as engine_execute
from cloudassist_tasks.engine.collect import collect
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.worker import LetGo
from cloudassist_tasks.transports.remote.host import RemoteHost
from tests.engine.silence import connecting, refusing_port, silent_port
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until
from tests.support.plane import Console, Installation, ids


def _counting(home: Installation, name: str) -> str:
    """Writes a number every 0.1 s until the file `name` exists, then `end`."""
    return home.marking(
        f"n=0; while [ ! -e {home.directory / name} ]; do n=$((n+1)); echo $n; sleep 0.1; done; echo end"
    )


def _is_whole(output: bytes) -> bool:
    lines = output.decode().split()
    return lines[-1] == "end" and lines[:-1] == [str(n) for n in range(1, len(lines))]


async def test_a_long_run_is_let_go_and_collected_from_its_last_offset(home: Installation) -> None:
    async with home.console(CLOUDASSIST_LIMIT_FOLLOW_MAX_S="3") as console:
        worker = await console.worker()
        (key,) = await console.launch(_counting(home, "long"))

        async def runs() -> bool:
            await execute(worker, key)  # until it was let go: while it is launched, perhaps
            return (await console.run(key)).status is RunStatus.RUNNING

        await eventually_async(runs)
        let_go = await console.run(key)
        before = len(await console.output(key))

        async def has_more() -> bool:
            await collect(worker, key.instance_id)
            return len(await console.output(key)) > before

        await eventually_async(has_more, within=20)
        looked = await console.run(key)
        (home.directory / "long").touch()
        await eventually_async(lambda: _collected(console, worker, key), within=20)

        assert (let_go.status, let_go.worker) == (RunStatus.RUNNING, None)
        assert (looked.status, looked.worker) == (RunStatus.RUNNING, None)
        assert _is_whole(await console.output(key))
        assert home.marked(key.invoke_id) == {"i-1": 1}


async def _collected(console: Console, worker, key: RunKey) -> bool:  # type: ignore[no-untyped-def]
    await collect(worker, key.instance_id)
    return (await console.run(key)).status == RunStatus.SUCCESS


async def _all_collected(console: Console, worker, keys: list[RunKey]) -> bool:  # type: ignore[no-untyped-def]
    """The scripts are gone; their results come a moment later, each in its own time."""
    await collect(worker, keys[0].instance_id)
    return {(await console.run(key)).status for key in keys} == {RunStatus.SUCCESS}


async def test_one_collect_settles_all_runs_of_an_instance(console: Console, home: Installation) -> None:
    worker, gate = await console.worker(), home.directory / "five"
    script = home.marking(f"{until(gate)}; echo done")
    keys = [(await console.launch(script))[0] for _ in range(5)]
    going = [asyncio.create_task(execute(worker, key)) for key in keys]
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)
        worker.carried[key].ask_let_go(LetGo.LONG)
    await asyncio.gather(*going)

    assert set(await console.plane.store.runs.adrift(keys[0].instance_id)) == set(keys)
    gate.touch()
    for key in keys:
        await asyncio.to_thread(eventually, partial(_has_ended, home, key))
    await eventually_async(lambda: _all_collected(console, worker, keys), within=20)

    for key in keys:
        assert await console.output(key) == b"done\n"
    assert not await console.plane.store.runs.adrift(keys[0].instance_id)


async def test_a_host_that_was_not_reached_is_looked_at_again_as_soon_as_any(console: Console) -> None:
    """It is back within seconds, mostly; a run of 20 s is not to be known a minute later."""
    worker = await console.worker()
    (key,) = await console.launch("sleep 300")
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going

    console.clock.stand_still()
    with refusing_port() as port:
        await console.register_one("i-1", port=port)
        await collect(worker, key.instance_id)
    runs, now_ms = console.plane.store.runs, console.clock.now_ms()
    _, at_once = await runs.take_due(now_ms=now_ms, lease_ms=1_000, limit=9)
    _, soon = await runs.take_due(now_ms=now_ms + 10_000, lease_ms=1_000, limit=9)

    assert await runs.adrift(key.instance_id) == [key]
    assert (at_once, soon) == ([], [key.instance_id])
    await console.register(3)
    await console.stop(key.invoke_id)
    await execute(worker, key)


def _has_ended(home: Installation, key: RunKey) -> bool:
    return not home.processes_of(key.invoke_id, key.instance_id)


async def test_a_watched_run_that_is_adrift_is_followed_again(console: Console, home: Installation) -> None:
    worker = await console.worker()
    (key,) = await console.launch(_counting(home, "watched"))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.LONG)
    await going

    hurried = await console.plane.store.runs.hurry([key], now_ms=console.clock.now_ms())
    again = asyncio.create_task(execute(worker, key))
    (home.directory / "watched").touch()
    await again

    assert list(hurried) == [key]
    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert _is_whole(await console.output(key))


async def test_a_crowded_process_lets_go_of_its_oldest_runs(console: Console) -> None:
    worker = await console.worker()
    keys = await console.launch("sleep 300", *ids(3))
    going = {}
    for key in keys:
        going[key] = asyncio.create_task(execute(worker, key))
        await console.reaches(key, RunStatus.RUNNING)

    worker.make_room(2, older_than_s=0)
    await asyncio.gather(going[keys[0]], going[keys[1]])

    assert list(worker.carried) == [keys[2]]
    await console.stop(keys[0].invoke_id)
    await going[keys[2]]
    for key in keys[:2]:
        await execute(worker, key)
    assert await console.closed(keys[0].invoke_id) == {RunStatus.TERMINATED: 3}


async def test_a_drained_run_is_followed_on_by_another_with_its_whole_output(
    console: Console, home: Installation
) -> None:
    first, second = await console.worker(), await console.worker()
    (key,) = await console.launch(_counting(home, "drained"))
    going = asyncio.create_task(execute(first, key))
    await eventually_async(lambda: _writes(console, key))
    home.lose_messages()

    first.drain()
    await going
    [message] = home.messages()
    again = asyncio.create_task(execute(second, message.key))
    (home.directory / "drained").touch()
    await again

    assert message.key == key
    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert _is_whole(await console.output(key))
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def _writes(console: Console, key: RunKey) -> bool:
    return len(await console.output(key)) > 4


async def test_a_draining_worker_passes_a_new_message_on(console: Console, home: Installation) -> None:
    worker = await console.worker()
    (key,) = await console.launch("true")
    home.lose_messages()
    worker.drain()

    await execute(worker, key)

    [message] = home.messages()
    assert message.key == key
    assert (await console.run(key)).worker is None


async def test_a_drain_while_connecting_gives_the_run_back_unlaunched(home: Installation) -> None:
    with silent_port() as port:
        async with connecting(home, port) as (console, worker, key, going):
            begun_s = worker.awake.time()
            worker.drain()
            await going
            took_s = worker.awake.time() - begun_s

            run = await console.run(key)
            assert took_s < 5
            assert (run.status, run.phase, run.worker) == (RunStatus.PENDING, "Queued", None)


async def test_a_worker_taken_for_dead_writes_nothing_and_goes_on_under_a_new_name(
    console: Console, home: Installation
) -> None:
    """A process that was stopped for a while: its epoch is over, whatever it would record is refused."""
    sleeper, mender = await console.worker(heartbeat_s=3600.0), await console.worker()
    old_name = sleeper.id
    (key,) = await console.launch(_counting(home, "buried"))
    going = asyncio.create_task(execute(sleeper, key))
    await console.reaches(key, RunStatus.RUNNING)

    async def is_buried() -> bool:
        await reconcile(mender)
        return (await console.run(key)).worker is None

    await eventually_async(is_buried)
    await collect(mender, key.instance_id)
    (home.directory / "buried").touch()
    async with asyncio.timeout(60):
        await going  # it hears the end, and is refused

    assert (await console.run(key)).status == RunStatus.RUNNING
    await eventually_async(lambda: _collected(console, mender, key), within=20)
    assert _is_whole(await console.output(key))
    assert home.marked(key.invoke_id) == {"i-1": 1}
    await sleeper._rise()
    assert sleeper.id != old_name
    (other,) = await console.launch("true", "i-2")
    await execute(sleeper, other)
    assert (await console.run(other)).status == RunStatus.SUCCESS


async def test_what_keeps_us_from_a_host_says_nothing_of_a_run_that_goes_on_there(
    console: Console, home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a drain another worker attaches; sudo refuses by then, or there is no room for its helper."""

    async def refused(*_: object, **__: object) -> None:
        raise RunFailed(RunStatus.INVALID, ErrorCode.USER_OR_PASSWORD_INVALID, "sudo wants a password")

    worker, gate = await console.worker(), home.directory / "refused"
    (key,) = await console.launch(home.marking(until(gate)))
    going = asyncio.create_task(execute(worker, key))
    await console.reaches(key, RunStatus.RUNNING)
    worker.carried[key].ask_let_go(LetGo.DRAIN)
    await going

    with monkeypatch.context() as sudo:
        sudo.setattr(RemoteHost, "follow", refused)
        sudo.setattr(engine_execute, "REATTACH_TRIES", 1)
        await execute(worker, key)
    kept = await console.run(key)
    gate.touch()
    await execute(worker, key)

    assert (kept.status, kept.worker) == (RunStatus.RUNNING, None)
    assert (await console.run(key)).status == RunStatus.SUCCESS
    assert home.marked(key.invoke_id) == {"i-1": 1}
