"""The network between a worker and a host fails, for real: what ran on the host is what the store says.

The worker process has a network namespace of its own, so has each of two hosts: `i-far`, whose link fails,
and `i-near`, whose link does not.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import Phase, RunStatus
from tests.faults.staff import IMPATIENT, Staff
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until
from tests.support.network import Link, Network, private_network
from tests.support.plane import Console, Installation, private_installation
from tests.support.sshd import Sshd, private_sshd

SHORT = {**IMPATIENT, "CLOUDASSIST_LIMIT_TIMEOUT_MIN_S": "1"}
"""Of callers: timeouts that a test can wait for, stops whose grace is short."""

COUNTING = "until {until}; do n=$((n+1)); echo $n; sleep 0.2; done; echo end"


def is_whole(output: bytes) -> bool:
    """Whether it is what `COUNTING` prints, every line once and in order."""
    *numbers, last = output.split()
    return last == b"end" and numbers == [b"%d" % n for n in range(1, len(numbers) + 1)]


@dataclass(frozen=True)
class Far:
    """The host whose link fails."""

    link: Link
    sshd: Sshd


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with private_network() as made:
        yield made


@pytest.fixture(scope="module")
def home(network: Network) -> Iterator[Installation]:
    with private_installation() as installation:
        yield installation


@pytest.fixture(scope="module")
def staff(home: Installation, network: Network) -> Iterator[Staff]:
    made = Staff(home, network.plane.command())
    yield made
    made.close()


@pytest.fixture(scope="module")
def near(network: Network) -> Iterator[Far]:
    link = network.host()
    with private_sshd(within=link.command()) as sshd:
        yield Far(link, sshd)


@pytest.fixture(scope="module")
def far_host(network: Network) -> Iterator[Far]:
    link = network.host()
    with private_sshd(within=link.command()) as sshd:
        yield Far(link, sshd)


@pytest.fixture
def far(far_host: Far) -> Iterator[Far]:
    """Without a connection from before; healed after."""
    far_host.sshd.cut_connections()
    yield far_host
    far_host.link.heal()


@pytest.fixture
async def console(home: Installation, near: Far, far: Far) -> AsyncIterator[Console]:
    async with home.console(0, emptied=False, **SHORT) as opened:
        instances = [
            host.sshd.instance(id, host.link.address) for id, host in (("i-near", near), ("i-far", far))
        ]
        await opened.plane.store.instances.add(instances, replace=True)
        yield opened


# -- before anything is sent


async def test_a_refused_connection_aborts_the_run_and_touches_no_other(
    console: Console, home: Installation, staff: Staff, far: Far
) -> None:
    staff.worker(**{**IMPATIENT, "CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S": "12"})
    far.link.refuse()

    gone, _ = await console.launch(home.marking(), "i-far", "i-near")

    assert await console.closed(gone.invoke_id) == {RunStatus.ABORTED: 1, RunStatus.SUCCESS: 1}
    assert (await console.run(gone)).error_code == ErrorCode.CLIENT_NOT_RUNNING
    assert home.marked(gone.invoke_id) == {"i-near": 1}
    assert far.link.hits() > 0


async def test_a_black_hole_aborts_the_run_at_its_delivery_time(
    console: Console, home: Installation, staff: Staff, far: Far
) -> None:
    staff.worker(**IMPATIENT)
    far.link.swallow()

    gone, _ = await console.launch(home.marking(), "i-far", "i-near")

    assert await console.closed(gone.invoke_id) == {RunStatus.ABORTED: 1, RunStatus.SUCCESS: 1}
    assert (await console.run(gone)).error_code == ErrorCode.DELIVERY_TIMEOUT
    assert home.marked(gone.invoke_id) == {"i-near": 1}
    assert far.link.hits() > 0


async def test_a_link_that_is_down_aborts_the_run_at_its_delivery_time(
    console: Console, home: Installation, staff: Staff, far: Far
) -> None:
    staff.worker(**IMPATIENT)
    far.link.unplug()

    gone, _ = await console.launch(home.marking(), "i-far", "i-near")

    assert await console.closed(gone.invoke_id) == {RunStatus.ABORTED: 1, RunStatus.SUCCESS: 1}
    assert (await console.run(gone)).error_code == ErrorCode.DELIVERY_TIMEOUT
    assert home.marked(gone.invoke_id) == {"i-near": 1}


# -- while a run goes on


async def test_a_half_open_connection_ends_its_runs_interrupted_and_never_as_terminated(
    console: Console, home: Installation, staff: Staff, far: Far
) -> None:
    """The host is gone without a word; nothing that it may do meanwhile is guessed (R1, R4)."""
    staff.worker(**IMPATIENT)
    (silent,) = await console.launch(home.marking("sleep 300"), "i-far", timeout_s=20)
    (stopped,) = await console.launch(home.marking("sleep 300"), "i-far", timeout_s=20)
    for key in (silent, stopped):
        await console.reaches(key, RunStatus.RUNNING)

    far.link.swallow()
    await console.stop(stopped.invoke_id)

    assert await console.closed(silent.invoke_id, within=120) == {RunStatus.ERROR: 1}
    assert await console.closed(stopped.invoke_id, within=120) == {RunStatus.ERROR: 1}
    ended = [await console.run(key) for key in (silent, stopped)]
    assert [run.error_code for run in ended] == [
        ErrorCode.EXECUTION_INTERRUPTED,
        ErrorCode.TERMINATION_EXCEPTION,
    ]

    far.link.heal()
    for key in (silent, stopped):  # fenced once it answers, and what it says then moves no final state
        await _answers_late(console, key)
        assert home.processes_of(key.invoke_id, "i-far") == []
        assert home.marked(key.invoke_id) == {"i-far": 1}
    assert [(await console.run(key)).status for key in (silent, stopped)] == [RunStatus.ERROR] * 2


async def _answers_late(console: Console, key: RunKey) -> None:
    async def has_answered() -> bool:
        return bool((await console.run(key)).late_result)

    await eventually_async(has_answered, within=60)


async def test_a_reset_in_the_midst_of_the_upload_runs_no_half_and_then_the_whole_once(
    console: Console, home: Installation, staff: Staff, far: Far
) -> None:
    staff.worker()
    (warm,) = await console.launch("true", "i-far")
    await console.reaches(warm, RunStatus.SUCCESS)

    far.link.reset(after_bytes=6_000)
    (key,) = await console.launch(home.marking("#" + "x" * 11_000 + "\necho whole"), "i-far")
    await asyncio.to_thread(eventually, lambda: far.link.hits() > 0, 60)
    await eventually_async(lambda: _is_sent(console, key), within=60)
    before = home.marked(key.invoke_id)
    far.link.heal()

    await console.reaches(key, RunStatus.SUCCESS, within=60)
    assert before == {}
    assert await console.output(key) == b"whole\n"
    assert home.marked(key.invoke_id) == {"i-far": 1}


async def _is_sent(console: Console, key: RunKey) -> bool:
    """Whether its script is on its way: the upload, and nothing else, was cut."""
    return (await console.run(key)).phase is Phase.LAUNCHING


async def test_a_reset_in_the_midst_of_the_output_loses_and_doubles_no_byte(
    console: Console, home: Installation, staff: Staff, far: Far
) -> None:
    staff.worker()
    gate = home.directory / "reset"
    (key,) = await console.launch(home.marking(COUNTING.format(until=f"[ -e {gate} ]")), "i-far")
    await eventually_async(lambda: console.output(key), within=60)

    far.link.reset()
    await asyncio.to_thread(eventually, lambda: far.link.hits() > 0, 60)
    far.link.heal()
    gate.touch()

    await console.reaches(key, RunStatus.SUCCESS, within=60)
    assert is_whole(await console.output(key))
    assert home.marked(key.invoke_id) == {"i-far": 1}


@pytest.mark.parametrize("lines", [5, pytest.param(150, marks=pytest.mark.chaos, id="30 s")])
async def test_a_freeze_is_survived_and_the_host_goes_on_meanwhile(
    console: Console, home: Installation, staff: Staff, far: Far, lines: int
) -> None:
    """The freeze is as long as the host takes to end its script alone: five lines a second."""
    staff.worker()
    gate = home.directory / f"freeze-{lines}"
    script = f"echo 1; {until(gate)}; {COUNTING.format(until=f'[ $n -gt {lines} ]')}"
    (key,) = await console.launch(home.marking(f"n=1; {script}"), "i-far", timeout_s=600)
    await eventually_async(lambda: console.output(key), within=60)

    far.link.swallow()
    gate.touch()
    await asyncio.to_thread(eventually, lambda: not home.processes_of(key.invoke_id, "i-far"), 60 + lines)
    await asyncio.to_thread(eventually, lambda: far.link.hits() > 0, 60)
    frozen = await console.run(key)
    far.link.heal()

    await console.reaches(key, RunStatus.SUCCESS, within=60)
    assert frozen.status == RunStatus.RUNNING
    assert is_whole(await console.output(key))
    assert home.marked(key.invoke_id) == {"i-far": 1}


async def test_hosts_do_not_suffer_from_the_silence_of_another(
    console: Console, home: Installation, staff: Staff, far: Far
) -> None:
    """Ten runs hang on a silent host; twenty on another come and go."""
    staff.worker()
    gate = home.directory / "hanging"
    waiting = home.marking(until(gate))
    hanging = [(await console.launch(waiting, "i-far"))[0] for _ in range(10)]
    for key in hanging:
        await console.reaches(key, RunStatus.RUNNING, within=60)
    far.link.swallow()
    gate.touch()

    fine = [(await console.launch(home.marking(), "i-near"))[0] for _ in range(20)]
    for key in fine:
        assert await console.closed(key.invoke_id, within=60) == {RunStatus.SUCCESS: 1}
    still = [(await console.run(key)).status for key in hanging]
    far.link.heal()

    assert still == [RunStatus.RUNNING] * 10
    for key in hanging:
        assert await console.closed(key.invoke_id, within=60) == {RunStatus.SUCCESS: 1}
        assert home.marked(key.invoke_id) == {"i-far": 1}
