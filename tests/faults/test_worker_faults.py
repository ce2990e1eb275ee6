"""Faults of workers: one is killed, frozen or replaced at a certain step. The script ran once on its host,
the output is whole, the run ends Success, and the tally says so.

Where it must be a very step, the worker speaks to the store through a gate that holds it there.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.status import Phase, RunStatus
from tests.engine.silence import silent_port
from tests.ports.transport.peers import proxy_to
from tests.processes.conftest import Crew
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import WHOLE, gated, until
from tests.support.plane import QUICK, Console, Installation, ids
from tests.support.processes import descendants
from tests.support.store_gate import StoreGate, store_gate

LINES = "echo begun; sleep 0.5; echo end"


def _kill(worker: CeleryWorker) -> None:
    worker.process.kill()
    worker.process.wait()


async def _ran_once(console: Console, key: RunKey, output: bytes, within: float = 60) -> None:
    run = await console.reaches(key, RunStatus.SUCCESS, within=within)
    assert run.exit_code == 0
    assert await console.output(key) == output
    assert console.home.marked(key.invoke_id) == {key.instance_id: 1}
    assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}


async def test_kill_9_before_the_claim(console: Console, home: Installation, crew: Crew) -> None:
    """The message has left the broker for good, and the claim has not reached the store."""
    async with _held(console, crew) as (worker, gate):
        gate.hold_before("claim_run")
        (key,) = await console.launch(home.marking(LINES))
        await asyncio.to_thread(gate.reached)
        await asyncio.to_thread(eventually, lambda: home.messages() == [], within=60)
        _kill(worker)
        assert (await console.run(key)).phase is not Phase.CLAIMED

    crew.one()

    await _ran_once(console, key, WHOLE)


async def test_kill_9_after_the_claim(console: Console, home: Installation, crew: Crew) -> None:
    """The store has given it the run; it never heard."""
    async with _held(console, crew) as (worker, gate):
        gate.hold_after("claim_run")
        (key,) = await console.launch(home.marking(LINES))
        await asyncio.to_thread(gate.reached)
        _kill(worker)
        assert (await console.run(key)).phase is Phase.CLAIMED

    crew.one()

    await _ran_once(console, key, WHOLE)


async def test_kill_9_during_connect(console: Console, home: Installation, crew: Crew) -> None:
    """The host has taken the connection and says nothing yet."""
    worker = crew.one()
    with silent_port() as port:
        await console.register_one("i-1", port=port)
        (key,) = await console.launch(home.marking(LINES))
        await _claimed(console, key)
        _kill(worker)
        await console.register(3)

    crew.one()

    await _ran_once(console, key, WHOLE)


async def _claimed(console: Console, key: RunKey) -> None:
    async def is_claimed() -> bool:
        return (await console.run(key)).phase is Phase.CLAIMED

    await eventually_async(is_claimed, within=60)


async def test_kill_9_mid_upload(console: Console, home: Installation, crew: Crew) -> None:
    """The launch is committed, and part of the script is on its way to the host."""
    worker = crew.one()
    async with proxy_to(home.sshd.port) as proxy:
        await console.register_one("i-1", port=proxy.port)
        (before,) = await console.launch(home.marking())  # so that helper and connection are there
        await console.reaches(before, RunStatus.SUCCESS)
        proxy.freeze_after = proxy.forwarded + 6_000
        (key,) = await console.launch(home.marking(LINES + "\n#" + "x" * 11_000))
        await eventually_async(_when(lambda: proxy.frozen), within=60)
        _kill(worker)
        assert (await console.run(key)).phase is Phase.LAUNCHING
        await console.register(3)
    assert home.marked(key.invoke_id) == {}

    crew.one()

    await _ran_once(console, key, WHOLE)


def _when(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def is_true() -> bool:
        return condition()

    return is_true


async def test_kill_9_after_launch(console: Console, home: Installation, crew: Crew) -> None:
    """The script runs on the host, and the store does not know it yet."""
    script, go_on = gated(home, "launched")  # the start of what is over at once is not told of
    async with _held(console, crew) as (worker, gate):
        gate.hold_before("start_run")
        (key,) = await console.launch(script)
        await asyncio.to_thread(gate.reached)
        _kill(worker)
        assert (await console.run(key)).phase is Phase.LAUNCHING
        await asyncio.to_thread(eventually, lambda: home.marked(key.invoke_id) == {"i-1": 1}, within=60)
        go_on.touch()

    crew.one()

    await _ran_once(console, key, WHOLE)


async def test_kill_9_while_following(console: Console, home: Installation, crew: Crew) -> None:
    worker = crew.one()
    script, gate = gated(home, "following")
    (key,) = await console.launch(script)
    await console.reaches(key, RunStatus.RUNNING)
    _kill(worker)
    gate.touch()

    crew.one()

    await _ran_once(console, key, WHOLE)


async def test_kill_9_before_the_end_is_recorded(console: Console, home: Installation, crew: Crew) -> None:
    """The host has told how it ended; the store has not been told."""
    script, go_on = gated(home, "ended")
    async with _held(console, crew) as (worker, gate):
        (key,) = await console.launch(script)
        await console.reaches(key, RunStatus.RUNNING)
        gate.hold_before("finish_run")
        go_on.touch()
        await asyncio.to_thread(gate.reached)
        _kill(worker)
        assert (await console.run(key)).status is RunStatus.RUNNING

    crew.one()

    await _ran_once(console, key, WHOLE)


@pytest.mark.parametrize("at", ["unreserved", "reserved", "unheard"])
async def test_kill_9_between_record_and_next_batch(
    console: Console, home: Installation, crew: Crew, at: str
) -> None:
    """Two of six runs at a time, so that each end asks for the next. An end is recorded; the next batch is
    not reserved, or reserved and not published, or the worker has not even heard that it is recorded. No pass
    of its own comes meanwhile, which would ask too."""
    go_on = home.directory / f"go-on-{at}"
    script = home.marking(until(go_on))
    async with _held(console, crew, reconcile_s="60") as (worker, gate):
        opened = await console.open(script, *ids(6), caps=Caps(max_concurrency=Share(2)))
        for one in ids(2):
            await console.reaches(RunKey(opened.invoke_id, InstanceId(one)), RunStatus.RUNNING)
        match at:
            case "unreserved":
                gate.hold_before("reserve_batch", behind="finish_run")
            case "reserved":
                gate.hold_after("reserve_batch", behind="finish_run")
            case _:
                gate.hold_after("finish_run")
        go_on.touch()
        await asyncio.to_thread(gate.reached)
        _kill(worker)
        assert (await console.tally(opened.invoke_id)).get(RunStatus.SUCCESS, 0) >= 1
        assert sum(home.marked(opened.invoke_id).values()) == 2

    crew.one()

    assert await console.closed(opened.invoke_id, within=60) == {RunStatus.SUCCESS: 6}
    assert home.marked(opened.invoke_id) == dict.fromkeys(ids(6), 1)


@asynccontextmanager
async def _held(
    console: Console, crew: Crew, *, reconcile_s: str = QUICK["CLOUDASSIST_RECONCILE_S"]
) -> AsyncIterator[tuple[CeleryWorker, StoreGate]]:
    """A worker that is alone, and speaks to the store through a gate: gone with it, since it could do nothing
    for the next test."""
    crew.none()
    home = console.home
    with store_gate(home.valkey, home.directory) as gate:
        worker = await asyncio.to_thread(
            partial(crew.another, CLOUDASSIST_REDIS_URL=gate.url(), CLOUDASSIST_RECONCILE_S=reconcile_s)
        )
        try:
            yield worker, gate
        finally:
            crew.none()


async def test_kill_9_again_and_again(console: Console, home: Installation, crew: Crew) -> None:
    script, gate = gated(home, "again")
    keys = await console.launch(script, *ids(20))
    for _ in range(3):
        worker = crew.one()
        await eventually_async(lambda: _anyone_carries(console, keys), within=60)
        _kill(worker)
    gate.touch()
    crew.one()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 20}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    for key in keys:
        assert await console.output(key) == WHOLE


async def _anyone_carries(console: Console, keys: list[RunKey]) -> bool:
    runs = await console.plane.store.runs.get_many(keys[0].invoke_id, [key.instance_id for key in keys])
    return any(run.worker for run in runs)


async def test_sigstop_past_the_lease_then_sigcont_the_resumed_worker_writes_nothing(
    console: Console, home: Installation, crew: Crew
) -> None:
    """It sleeps past its lease (2 s here, 10 s as shipped), while another goes on with its runs."""
    crew.one()
    crew.another()
    script, gate = gated(home, "frozen")
    keys = await console.launch(script, *ids(6))
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)
    _, pid = await console.holder(keys[0])
    frozen, awake = sorted(crew.alive(), key=lambda worker: worker.pid != pid)
    before = [(await console.run(key)).epoch for key in keys]

    frozen.signal(signal.SIGSTOP)
    gate.touch()
    try:
        tally = await console.closed(keys[0].invoke_id, within=60)
        ended = [await console.run(key) for key in keys]
    finally:
        frozen.signal(signal.SIGCONT)
    await asyncio.to_thread(eventually, lambda: "worker_buried" in frozen.log, within=60)
    (later,) = await console.launch(home.marking("echo ok"), "i-9")
    await _ran_once(console, later, b"ok\n")

    assert tally == {RunStatus.SUCCESS: 6}
    assert [await console.run(key) for key in keys] == ended
    assert any(run.epoch > epoch for run, epoch in zip(ended, before, strict=True))
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    assert awake.process.poll() is None


async def test_sigstop_then_sigcont_what_the_resumed_worker_writes_is_refused(
    console: Console, home: Installation, crew: Crew
) -> None:
    """It is frozen with the record of the end in its hands, and writes it when another has recorded it."""
    async with _held(console, crew) as (frozen, gate):
        gate.hold_before("finish_run")
        (key,) = await console.launch(home.marking(LINES))
        await asyncio.to_thread(gate.reached)
        frozen.signal(signal.SIGSTOP)
        try:
            await asyncio.to_thread(crew.another)
            await _ran_once(console, key, WHOLE)
            ended = await console.run(key)
            gate.open()
        finally:
            frozen.signal(signal.SIGCONT)
        await asyncio.to_thread(eventually, lambda: "end_not_recorded" in frozen.log, within=60)

    assert await console.run(key) == ended
    assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}


async def test_sigterm_with_long_runs_drains_in_seconds_and_another_collects_them(
    console: Console, home: Installation, crew: Crew
) -> None:
    leaving = crew.one()
    script, gate = gated(home, "drain")
    keys = await console.launch(script, *ids(10))
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    leaving.signal(signal.SIGTERM)
    await asyncio.to_thread(leaving.ended)
    crew.one()
    gate.touch()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 10}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    for key in keys:
        assert await console.output(key) == WHOLE


async def test_a_cold_shutdown_loses_no_run(console: Console, home: Installation, crew: Crew) -> None:
    """SIGQUIT cancels every task at once; that is no stop of the runs."""
    leaving = crew.one()
    script, gate = gated(home, "cold")
    keys = await console.launch(script, *ids(5))
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    leaving.signal(signal.SIGQUIT)
    await asyncio.to_thread(leaving.ended)
    gate.touch()
    crew.one()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 5}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    for key in keys:
        assert await console.output(key) == WHOLE


async def test_rolling_replacement_of_all_workers_under_load_loses_nothing(
    console: Console, home: Installation, crew: Crew
) -> None:
    old = [crew.one(), crew.another()]
    opened = [
        (await console.open(home.marking("echo a; sleep 1; echo b"), *ids(30))).invoke_id for _ in range(2)
    ]

    for worker in old:
        await asyncio.to_thread(crew.another)
        worker.signal(signal.SIGTERM)
        opened.append((await console.open(home.marking("echo a; sleep 1; echo b"), *ids(30))).invoke_id)
    for worker in old:
        await asyncio.to_thread(worker.ended)

    for invoke_id in opened:
        assert await console.closed(invoke_id, within=60) == {RunStatus.SUCCESS: 30}
        assert set(home.marked(invoke_id).values()) == {1}


async def test_a_worker_that_ended_in_order_leaves_nothing_behind(
    console: Console, home: Installation, crew: Crew
) -> None:
    worker = crew.one()
    (key,) = await console.launch(home.marking())
    await console.reaches(key, RunStatus.SUCCESS)
    pid = worker.pid

    worker.signal(signal.SIGTERM)
    await asyncio.to_thread(worker.ended)

    assert descendants(pid) == set()
    assert all(info.pid != pid for info in await console.plane.store.workers.all())
