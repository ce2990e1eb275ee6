"""A stop is published once it is true: nothing of the run lives, and nothing of it will begin (I5, R4)."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.processes import any_alive
from tests.support.remote import NONCE, Host, prepared, toolbox

TREE = """
sleep 98 > /dev/null 2>&1 & echo $! > DIR/child
sh -c 'trap "" TERM; echo $$ > DIR/deaf; exec sleep 97' > /dev/null 2>&1 &
echo $$ > DIR/main
wait
"""


def said(file: Path) -> bool:
    """Whether there is anything in it: it is made first, and filled then."""
    return file.exists() and bool(file.read_text())


def pids(directory: Path) -> dict[str, int]:
    files = [file for file in directory.iterdir() if file.is_file() and file.read_text().strip().isdigit()]
    return {file.name: int(file.read_text()) for file in files}


@pytest.fixture
def place() -> Iterator[Path]:
    """Where any user's script may write."""
    with tempfile.TemporaryDirectory(prefix="ca-traces-") as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


@pytest.fixture
def hold(place: Path) -> Path:
    """While it exists the slow tool of `slow_host` does nothing."""
    return place / "hold"


@pytest.fixture
def slow_host(hold: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    """Where a tool (the parameter) may be held up between the supervisor's start and the script's: `id`, as
    it looks for `ghost`, an account that nobody else knows; or `setsid`, before `runuser` is there."""
    with tempfile.TemporaryDirectory(prefix="ca-tools-") as directory:
        path = toolbox(Path(directory) / "t", "setsid", "setpriv" if request.param == "id" else "runuser")
        tool = Path(path) / request.param
        real = tool.resolve()
        tool.unlink()
        tool.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *ghost|"env "*) while [ -e {hold} ]; do sleep 0.05; done;; esac\n'
            f'case "$*" in *ghost) echo 2;; *) exec {real} "$@";; esac\n'
        )
        tool.chmod(0o755)
        with prepared("dash", path=path) as host:
            yield host


def test_a_stop_whose_canceller_dies_midway_is_published_once_the_tree_is_gone(
    host_of_any_shell: Host, place: Path
) -> None:
    """It has said why and killed the script, no more: the supervisor looks after the others."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    with host.launched(run_id, TREE.replace("DIR", str(place))) as channel:
        assert channel.frame()["started"]
        eventually(lambda: set(pids(place)) == {"main", "child", "deaf"})

        (host.base / run_id / "why").write_text("canceled\n")
        os.kill(host.identity(run_id, "child"), signal.SIGKILL)
        end = channel.frames()[-1]

    assert (end["state"], end["result"], end["unkilled"]) == ("done", "canceled", "")
    assert not any_alive(list(pids(place).values()))


@pytest.mark.parametrize("slow_host", ["id"], indirect=True)
@pytest.mark.parametrize("hears", ["in time", "too late"])
def test_a_stop_that_finds_the_script_not_begun_keeps_it_from_beginning(
    slow_host: Host, hold: Path, place: Path, hears: str
) -> None:
    """The supervisor looks for the user's account, which may take long: it hears of the stop while the
    canceller waits for it, or after that has given it up."""
    host, run_id, trace = slow_host, slow_host.new_id(), place / "trace"
    hold.touch()
    with host.launched(run_id, f"echo began >> {trace}", user="ghost") as channel:
        eventually(lambda: said(host.base / run_id / "started"))
        supervisor = host.identity(run_id, "started")
        with host.channel("cancel", run_id, NONCE) as canceller:
            eventually(lambda: said(host.base / run_id / "why"))
            if hears == "in time":
                hold.unlink()
            answer = canceller.frame()
        hold.unlink(missing_ok=True)
        end = channel.frames()[-1]
    eventually(lambda: not any_alive([supervisor]))

    assert (answer["state"], answer["result"]) == ("done", "canceled")
    assert end["result"] == "canceled"
    assert not trace.exists()


@pytest.mark.parametrize("slow_host", ["setsid"], indirect=True)
def test_a_timeout_that_comes_before_the_script_is_known_still_ends_it(
    slow_host: Host, hold: Path, place: Path
) -> None:
    """Changing the user takes longer than the script may run."""
    host, run_id = slow_host, slow_host.new_id()
    hold.touch()
    script = f"echo $$ > {place}/main; exec sleep 96"
    with host.launched(run_id, script, user="daemon", timeout=1) as channel:
        eventually((host.base / run_id / "why").exists)
        hold.unlink()
        end = channel.frames()[-1]

    assert end["result"] == "timeout"
    assert not any_alive(list(pids(place).values()))
