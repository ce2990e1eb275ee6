"""Scripts that misbehave under a real worker: each ends in the state that is true, and disturbs nobody."""

import asyncio
import base64
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cloudassist_tasks.contract.invocations import DescribeInvocationResults
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.operations.handling import handle
from tests.faults.staff import Staff
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until
from tests.support.plane import Console, Installation
from tests.support.processes import any_alive, end
from tests.support.users import private_user

KEPT = 24 * 1024


@pytest.fixture(scope="module")
def staff(home: Installation) -> Iterator[Staff]:
    made = Staff(home)
    yield made
    made.close()


@pytest.fixture
async def console(home: Installation, staff: Staff) -> AsyncIterator[Console]:
    """Three instances, a worker; timeouts may be short."""
    staff.worker()
    async with home.console(3, emptied=False, CLOUDASSIST_LIMIT_TIMEOUT_MIN_S="1") as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where a script leaves the ids of its processes; what then still lives is ended."""
    yield tmp_path
    end([pid for pid in _pids(tmp_path).values() if any_alive([pid])], signal.SIGKILL)


def _pids(place: Path) -> dict[str, int]:
    return {file.name: int(file.read_text()) for file in place.iterdir() if file.read_text().strip()}


def _living(place: Path) -> set[str]:
    return {name for name, pid in _pids(place).items() if any_alive([pid])}


DAEMONS = """
setsid sh -c 'echo $$ > DIR/session; exec sleep 300' &
(sh -c 'echo $$ > DIR/twice; exec sleep 300' &)
(setsid sh -c 'echo $$ > DIR/escaped; exec sleep 300' &)
until [ -s DIR/session ] && [ -s DIR/twice ] && [ -s DIR/escaped ]; do sleep 0.02; done
echo $$ > DIR/script
"""


@pytest.mark.parametrize("end_by", ["stop", "timeout"])
async def test_setsid_and_a_double_fork_end_with_the_run_unless_both_at_once(
    console: Console, home: Installation, place: Path, end_by: str
) -> None:
    """By decision what has left the session and all of its parents is a daemon, and is spared."""
    script = home.marking(DAEMONS.replace("DIR", str(place)) + "sleep 300")
    (key,) = await console.launch(script, timeout_s=12 if end_by == "timeout" else 60)
    await asyncio.to_thread(eventually, lambda: len(_pids(place)) == 4, 60)

    if end_by == "stop":
        await console.stop(key.invoke_id)

    run = await console.reaches(key, RunStatus.TERMINATED, RunStatus.TIMEOUT, within=60)
    assert run.status == (RunStatus.TERMINATED if end_by == "stop" else RunStatus.TIMEOUT)
    assert _living(place) == {"escaped"}
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_daemon_by_setsid_and_double_fork_outlives_its_script_and_holds_nothing_up(
    console: Console, home: Installation, place: Path
) -> None:
    (key,) = await console.launch(home.marking(DAEMONS.replace("DIR", str(place)) + "echo end"))

    assert (await console.reaches(key, RunStatus.SUCCESS, within=60)).exit_code == 0
    assert await console.output(key) == b"end\n"
    assert "escaped" in _living(place)


@pytest.mark.parametrize("end_by", ["stop", "timeout"])
async def test_a_script_that_ignores_sigterm_is_gone_when_its_run_has_ended(
    console: Console, home: Installation, end_by: str
) -> None:
    script = home.marking("trap '' TERM INT HUP QUIT; echo deaf; while :; do sleep 300; done")
    (key,) = await console.launch(script, timeout_s=12 if end_by == "timeout" else 60)
    await eventually_async(lambda: console.output(key), within=60)

    if end_by == "stop":
        await console.stop(key.invoke_id)

    run = await console.reaches(key, RunStatus.TERMINATED, RunStatus.TIMEOUT, within=60)
    assert run.status == (RunStatus.TERMINATED if end_by == "stop" else RunStatus.TIMEOUT)
    assert home.processes_of(key.invoke_id, "i-1") == []
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_script_that_reads_stdin_finds_its_end_and_none_of_itself(
    console: Console, home: Installation
) -> None:
    (key,) = await console.launch(home.marking("read line; echo $?; cat; echo end"))

    assert (await console.reaches(key, RunStatus.SUCCESS, within=60)).exit_code == 0
    assert await console.output(key) == b"1\nend\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_yes_is_stopped_at_its_timeout_and_keeps_24_kib(console: Console, home: Installation) -> None:
    (key,) = await console.launch(home.marking("exec yes"), timeout_s=8)

    run = await console.reaches(key, RunStatus.TIMEOUT, within=60)
    output = await console.output(key)
    assert (run.error_code, run.exit_code) == (ErrorCode.EXECUTION_TIMEOUT, None)
    assert len(output) == KEPT
    assert set(output) == set(b"y\n")
    assert run.output_bytes == run.dropped + KEPT
    assert run.dropped > KEPT
    assert home.processes_of(key.invoke_id, "i-1") == []


@pytest.mark.parametrize("megabytes", [50, pytest.param(1_000, marks=pytest.mark.chaos, id="1 GB")])
async def test_1_gb_of_output_is_counted_to_the_byte_and_takes_no_room(
    console: Console, home: Installation, megabytes: int
) -> None:
    size = megabytes * 1_000_000
    gate = home.directory / f"gate-{megabytes}"
    waiting = until(gate)
    script = f"echo begin; head -c {size} /dev/zero; echo; {waiting}; echo end; exit 3"
    (key,) = await console.launch(home.marking(script), timeout_s=300)
    spooled, kept = 0, 0

    async def has_ended() -> bool:
        nonlocal spooled, kept
        in_spools = await asyncio.to_thread(_bytes_in, _spools(home))
        beside = await asyncio.to_thread(_bytes_in, [str(home.sshd.base)])
        spooled, kept = max(spooled, in_spools), max(kept, in_spools + beside)
        if spooled:
            gate.touch()
        return (await console.run(key)).status in FINAL

    await eventually_async(has_ended, within=300)
    run = await console.reaches(key, RunStatus.FAILED)
    output = await console.output(key)
    assert (run.exit_code, run.output_bytes, len(output)) == (3, size + 11, KEPT)
    assert output.startswith(b"begin\n\0")
    assert output.endswith(b"\0\nend\n")
    assert spooled > 0
    assert kept < 4_000_000


def _bytes_in(places: list[str]) -> int:
    """What is kept there at this moment; what goes away meanwhile is not counted."""
    if not places:
        return 0
    found = subprocess.run(["du", "-sk", *places], capture_output=True, text=True, check=False).stdout
    return sum(1_024 * int(line.split()[0]) for line in found.splitlines())


def _spools(home: Installation) -> list[str]:
    """Where the runs of these hosts keep their output while they go on."""
    places = [Path("/run"), Path("/dev/shm")]
    return [str(one) for place in places for one in place.glob(f"ca-*{home.sshd.directory.name}*")]


ODD = bytes(range(256)) + b"\xff\xfe\xed\xa0\x80\xc3(\xf0\x9f\x92" + bytes(3)


async def test_nul_and_broken_utf8_come_back_byte_for_byte(
    console: Console, home: Installation, tmp_path: Path
) -> None:
    (tmp_path / "odd").write_bytes(ODD)
    (key,) = await console.launch(home.marking(f"cat {tmp_path}/odd"))
    await console.reaches(key, RunStatus.SUCCESS, within=60)

    coded, plain = [
        (
            await handle(
                console.plane, DescribeInvocationResults(invoke_id=key.invoke_id, content_encoding=how), LOCAL
            )
        )
        for how in ("Base64", "PlainText")
    ]
    assert await console.output(key) == ODD
    assert base64.b64decode(coded.invocation.invocation_results[0].output) == ODD
    assert "\ufffd" in plain.invocation.invocation_results[0].output


async def test_a_script_that_closes_stdout_is_followed_to_its_end(
    console: Console, home: Installation
) -> None:
    gate = home.directory / "closed"
    script = f"echo before; exec >&- 2>&-; {until(gate)}; exit 3"
    (key,) = await console.launch(home.marking(script))
    await console.reaches(key, RunStatus.RUNNING)

    gate.touch()

    assert (await console.reaches(key, RunStatus.FAILED, within=60)).exit_code == 3
    assert await console.output(key) == b"before\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_daemon_that_keeps_stdout_does_not_hold_the_result_and_lives(
    console: Console, home: Installation, place: Path
) -> None:
    script = f"(while :; do echo tick; sleep 0.05; done) & echo $! > {place}/daemon; echo end"
    (key,) = await console.launch(home.marking(script))

    run = await console.reaches(key, RunStatus.SUCCESS, within=60)
    written = _writes(place)
    assert run.exit_code == 0
    assert b"end\n" in await console.output(key)
    await asyncio.to_thread(eventually, lambda: _writes(place) > written + 3, 30)


def _writes(place: Path) -> int:
    """How often the daemon has written; one that dies of a closed pipe raises here."""
    facts = Path(f"/proc/{_pids(place)['daemon']}/io").read_text().split()
    return int(facts[facts.index("syscw:") + 1])


@pytest.mark.parametrize("script", ["exit 137", "kill -9 $$"])
async def test_exit_137_is_a_failure_and_no_stop(console: Console, home: Installation, script: str) -> None:
    (key,) = await console.launch(home.marking(script))

    run = await console.reaches(key, RunStatus.FAILED, within=60)
    assert (run.exit_code, run.error_code) == (137, ErrorCode.EXIT_CODE_NONZERO)
    assert home.marked(key.invoke_id) == {"i-1": 1}


BOMB = """#!/bin/bash -e
MARK
ulimit -u 40
exec python3 -c '
import os, resource, time
begun = time.monotonic()
while resource.getrlimit(resource.RLIMIT_NPROC) == (40, 40) and time.monotonic() < begun + 60:
    try:
        os.fork()
    except OSError:
        open("FULL", "a").close()
        time.sleep(0.1)
'
"""
"""It bounds itself, by number and by time: it never goes off without its limit."""


@pytest.mark.parametrize("end_by", ["stop", "timeout"])
async def test_a_fork_bomb_bounded_by_ulimit_is_gone_to_the_last_when_its_run_has_ended(
    console: Console, home: Installation, end_by: str
) -> None:
    with private_user() as user:
        full = user.home / "full"
        script = BOMB.replace("MARK", home.marking()).replace("FULL", str(full))
        timeout_s = 20 if end_by == "timeout" else 60
        await console.register_one(f"i-bomb-{end_by}")
        (key,) = await console.launch(script, f"i-bomb-{end_by}", username=user.name, timeout_s=timeout_s)
        (beside,) = await console.launch("echo ok", "i-2")
        await asyncio.to_thread(eventually, full.exists, 60)

        if end_by == "stop":
            await console.stop(key.invoke_id)

        run = await console.reaches(key, RunStatus.TERMINATED, RunStatus.TIMEOUT, within=60)
        assert run.status == (RunStatus.TERMINATED if end_by == "stop" else RunStatus.TIMEOUT)
        assert _of_user(user.name) == []
        assert home.marked(key.invoke_id) == {f"i-bomb-{end_by}": 1}
        await console.reaches(beside, RunStatus.SUCCESS)


def _of_user(name: str) -> list[int]:
    found = subprocess.run(["pgrep", "-u", name], capture_output=True, text=True, check=False).stdout
    return [pid for pid in map(int, found.split()) if any_alive([pid])]
