"""A worker dies, freezes or leaves: the script ran once, its output is whole, the run ends Success."""

import asyncio
import signal

from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import Phase, RunStatus
from tests.engine.silence import silent_port
from tests.ports.transport.peers import proxy_to
from tests.processes.conftest import Crew
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually, eventually_async
from tests.support.plane import Console, Installation, ids
from tests.support.processes import descendants

LINES = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done"
WHOLE = b"1\n2\n3\n4\n5\n6\n"


def _kill(worker: CeleryWorker) -> None:
    worker.process.kill()
    worker.process.wait()


async def _ran_once(console: Console, key: RunKey, output: bytes, within: float = 40) -> None:
    run = await console.reaches(key, RunStatus.SUCCESS, within=within)
    assert run.exit_code == 0
    assert await console.output(key) == output
    assert console.home.marked(key.invoke_id) == {key.instance_id: 1}
    assert await console.closed(key.invoke_id) == {RunStatus.SUCCESS: 1}


async def test_killed_before_the_claim(console: Console, home: Installation, crew: Crew) -> None:
    """The broker has handed the message to a process that never reads it: it is lost (BRPOP window)."""
    worker = crew.one()
    worker.signal(signal.SIGSTOP)
    (key,) = await console.launch(home.marking(LINES))
    await asyncio.to_thread(eventually, lambda: home.messages() == [])
    _kill(worker)

    crew.one()

    await _ran_once(console, key, WHOLE)


async def test_killed_after_the_claim(console: Console, home: Installation, crew: Crew) -> None:
    worker = crew.one()
    with silent_port() as port:
        await console.register_one("i-1", port=port)
        (key,) = await console.launch(home.marking(LINES))
        await eventually_async(lambda: _phase(console, key, Phase.CLAIMED))
        _kill(worker)
        await console.register(3)

    crew.one()

    await _ran_once(console, key, WHOLE)


async def _phase(console: Console, key: RunKey, phase: Phase) -> bool:
    return (await console.run(key)).phase == phase


async def test_killed_in_the_midst_of_the_upload(console: Console, home: Installation, crew: Crew) -> None:
    worker = crew.one()
    async with proxy_to(home.sshd.port) as proxy:
        proxy.cut_after = 8_000
        await console.register_one("i-1", port=proxy.port)
        (key,) = await console.launch(home.marking(LINES + "\n#" + "x" * 11_000))
        await eventually_async(lambda: _reached(lambda: proxy.forwarded >= 8_000))
        _kill(worker)
        await console.register(3)

    crew.one()

    await _ran_once(console, key, WHOLE)


async def _reached(condition) -> bool:  # type: ignore[no-untyped-def]
    return bool(condition())


async def test_killed_right_after_the_launch(console: Console, home: Installation, crew: Crew) -> None:
    worker = crew.one()
    (key,) = await console.launch(home.marking(LINES))
    await eventually_async(lambda: _phase(console, key, Phase.LAUNCHING), every=0.002)
    _kill(worker)

    crew.one()

    await _ran_once(console, key, WHOLE)


async def test_killed_while_it_follows(console: Console, home: Installation, crew: Crew) -> None:
    worker = crew.one()
    (key,) = await console.launch(home.marking(LINES + "; sleep 3; echo end"))
    await console.reaches(key, RunStatus.RUNNING)
    _kill(worker)

    crew.one()

    await _ran_once(console, key, WHOLE + b"end\n")


async def test_killed_again_and_again(console: Console, home: Installation, crew: Crew) -> None:
    keys = await console.launch(home.marking(LINES), *ids(20))
    for _ in range(3):
        worker = crew.one()
        await eventually_async(lambda: _anyone_carries(console, keys), within=15)
        _kill(worker)
    crew.one()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 20}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    for key in keys:
        assert await console.output(key) == WHOLE


async def _anyone_carries(console: Console, keys: list[RunKey]) -> bool:
    runs = await console.plane.store.runs.get_many(keys[0].invoke_id, [key.instance_id for key in keys])
    return any(run.worker for run in runs)


async def test_frozen_past_its_lease_then_thawed_it_writes_nothing(
    console: Console, home: Installation, crew: Crew
) -> None:
    frozen, awake = crew.one(), crew.another()
    keys = await console.launch(home.marking(LINES), *ids(6))
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)
    before = [(await console.run(key)).epoch for key in keys]

    frozen.signal(signal.SIGSTOP)
    try:
        tally = await console.closed(keys[0].invoke_id, within=40)
        ended = [await console.run(key) for key in keys]
    finally:
        frozen.signal(signal.SIGCONT)
    eventually(lambda: "worker_buried" in frozen.log, within=20)
    (later,) = await console.launch(home.marking("echo ok"), "i-9")
    await _ran_once(console, later, b"ok\n")

    assert tally == {RunStatus.SUCCESS: 6}
    assert [await console.run(key) for key in keys] == ended
    assert any(run.epoch > epoch for run, epoch in zip(ended, before, strict=True))
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    assert awake.process.poll() is None


async def test_sigterm_with_long_runs_exits_in_seconds_and_another_finishes_them(
    console: Console, home: Installation, crew: Crew
) -> None:
    leaving = crew.one()
    gate = home.directory / "drain"
    keys = await console.launch(
        home.marking(f"echo begun; while [ ! -e {gate} ]; do sleep 0.2; done; echo end"), *ids(10)
    )
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    leaving.signal(signal.SIGTERM)
    leaving.ended(within=15)
    crew.one()
    gate.touch()

    assert await console.closed(keys[0].invoke_id, within=30) == {RunStatus.SUCCESS: 10}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    for key in keys:
        assert await console.output(key) == b"begun\nend\n"


async def test_a_cold_shutdown_loses_no_run(console: Console, home: Installation, crew: Crew) -> None:
    """SIGQUIT cancels every task at once; that is no stop of the runs."""
    leaving = crew.one()
    keys = await console.launch(home.marking(LINES), *ids(5))
    for key in keys:
        await console.reaches(key, RunStatus.RUNNING)

    leaving.signal(signal.SIGQUIT)
    await asyncio.to_thread(leaving.ended, 20)
    crew.one()

    assert await console.closed(keys[0].invoke_id, within=40) == {RunStatus.SUCCESS: 5}
    assert set(home.marked(keys[0].invoke_id).values()) == {1}
    for key in keys:
        assert await console.output(key) == WHOLE


async def test_replacing_two_workers_one_after_the_other_under_load_loses_nothing(
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
        await asyncio.to_thread(worker.ended, 20)

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
    worker.ended(within=15)

    assert descendants(pid) == set()
    assert all(info.pid != pid for info in await console.plane.store.workers.all())
