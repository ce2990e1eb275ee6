"""Children are kept running, and none is left: real processes, real signals."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.processes import any_alive, end

PARENT = """
import sys
from pathlib import Path
from cloudassist_tasks.cli.processes import Start
from cloudassist_tasks.cli.supervisor import Child, Supervisor

directory = Path(sys.argv[1])
def child(name, script):
    start = Start(argv=("/bin/sh", "-c", script), directory=directory)
    return Child(name=name, start=start, log=directory / "logs" / f"{name}.log")

children = [
    child("steady", "echo $$ >> steady; exec sleep 600"),
    child("stubborn", "trap '' TERM QUIT; echo $$ >> stubborn; while :; do sleep 0.2; done"),
    child("chatty", "echo $$ >> chatty; head -c 11000000 /dev/zero; while :; do echo on; sleep 0.1; done"),
    child("brief", "echo $$ >> brief; sleep 600 & echo $! >> left; echo tired; exit 7"),
]
wanted = [one for one in children if one.name in sys.argv[2:]]
Supervisor(children=wanted, say=lambda line: print(line, flush=True), drain_s=0.5).run()
"""


class Parent:
    """A process that supervises the named children."""

    def __init__(self, directory: Path, *names: str) -> None:
        self.directory = directory
        self.said = directory / "said"
        script = directory / "parent.py"
        script.write_text(textwrap.dedent(PARENT))
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, str(script), str(directory), *names],
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": os.getcwd()},
            )

    def pids(self, name: str) -> list[int]:
        file = self.directory / name
        return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_a_child_that_is_killed_starts_again(tmp_path: Path) -> None:
    parent = Parent(tmp_path, "steady")
    eventually(lambda: parent.pids("steady"), within=20)

    os.kill(parent.pids("steady")[0], signal.SIGKILL)

    eventually(lambda: len(parent.pids("steady")) == 2, within=20)
    assert "steady was ended by SIGKILL" in parent.said.read_text()
    parent.process.send_signal(signal.SIGINT)
    assert parent.process.wait(120) == 0
    assert not any_alive(parent.pids("steady"))


def test_a_child_that_dies_takes_its_own_children_along_and_its_log_is_named(tmp_path: Path) -> None:
    parent = Parent(tmp_path, "brief")

    eventually(lambda: len(parent.pids("left")) >= 2, within=20)

    first = parent.pids("left")[0]
    eventually(lambda: not any_alive([first]), within=20)
    assert "brief ended with exit code 7" in parent.said.read_text()
    assert "tired" in (tmp_path / "logs" / "brief.log").read_text()
    parent.process.terminate()
    assert parent.process.wait(120) == 0
    eventually(lambda: not any_alive(parent.pids("left")), within=20)


def test_the_log_of_a_child_that_goes_on_is_put_aside_and_one_older_one_is_kept(tmp_path: Path) -> None:
    log, older = tmp_path / "logs" / "chatty.log", tmp_path / "logs" / "chatty.log.1"
    older.parent.mkdir()
    older.write_text("from before")
    parent = Parent(tmp_path, "chatty")

    eventually(lambda: older.stat().st_size >= 10 * 1024 * 1024, within=20)
    eventually(lambda: log.stat().st_size < 1_000_000, within=20)  # it is cut once it is copied
    eventually(lambda: b"on\n" in log.read_bytes()[-1_000:], within=20)

    assert log.stat().st_size < 1_000_000
    assert len(parent.pids("chatty")) == 1
    assert b"from before" not in older.read_bytes()
    assert {file.name for file in older.parent.iterdir()} == {"chatty.log", "chatty.log.1"}
    parent.process.terminate()
    assert parent.process.wait(120) == 0


def test_a_child_that_cannot_be_started_now_is_tried_again_and_ends_no_other(tmp_path: Path) -> None:
    """Its log cannot be opened."""
    in_the_way = tmp_path / "logs" / "steady.log"
    in_the_way.mkdir(parents=True)
    parent = Parent(tmp_path, "steady", "stubborn")
    eventually(lambda: "steady cannot be started: Is a directory" in parent.said.read_text(), within=20)

    in_the_way.rmdir()

    eventually(lambda: parent.pids("steady") and parent.pids("stubborn"), within=30)
    assert len(parent.pids("stubborn")) == 1
    parent.process.terminate()
    assert parent.process.wait(120) == 0


def test_a_child_that_ignores_signals_is_killed_in_the_end(tmp_path: Path) -> None:
    parent = Parent(tmp_path, "stubborn", "steady")
    eventually(lambda: parent.pids("stubborn") and parent.pids("steady"), within=20)

    parent.process.terminate()

    assert parent.process.wait(120) == 0
    assert not any_alive(parent.pids("stubborn") + parent.pids("steady"))


def test_no_child_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = Parent(tmp_path, "steady")
    eventually(lambda: parent.pids("steady"), within=20)

    parent.process.kill()
    parent.process.wait()

    try:
        eventually(lambda: not any_alive(parent.pids("steady")), within=20)
    finally:
        end(parent.pids("steady"), signal.SIGKILL)
