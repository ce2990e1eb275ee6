"""A disk without a byte left, at the launch or under the script: what is said is what happened."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.remote.test_survival import done, kill_all, mounted, session_of
from tests.support.eventually import eventually
from tests.support.processes import any_alive, with_run_id
from tests.support.remote import NONCE, Host, install

PAGE = 4_096
FILLING = "cat /dev/zero > {filler} 2>/dev/null; echo filled; sleep 60 & wait"


@dataclass(frozen=True)
class Small:
    """A host on a disk of 1 MiB."""

    host: Host
    filler: Path

    def leave(self, pages: int) -> None:
        """Fill the disk but for so many pages."""
        self.filler.unlink(missing_ok=True)
        room = os.statvfs(self.host.base).f_bavail - pages
        with self.filler.open("wb", buffering=0) as file:
            for _ in range(room):
                assert file.write(bytes(PAGE)) == PAGE

    def leave_inodes(self, inodes: int) -> None:
        """Make files until so many more can be made."""
        self.empty()
        self.filler.mkdir()
        for number in range(os.statvfs(self.host.base).f_ffree - inodes):
            (self.filler / str(number)).touch()

    def empty(self) -> None:
        """Give all room back."""
        if self.filler.is_dir():
            shutil.rmtree(self.filler)
        self.filler.unlink(missing_ok=True)

    def started_and_full(self, **spec: object) -> str:
        """A run whose script has just filled the disk; its id."""
        run_id = self.host.new_id()
        self.host.start(run_id, FILLING.format(filler=self.filler), **spec)
        eventually(lambda: b"filled" in self.printed(run_id), within=20)
        return run_id

    def printed(self, run_id: str) -> bytes:
        """So far."""
        return b"".join(frame.body for frame in self.host.output(run_id))


@contextmanager
def on_a_small_disk(host: Host) -> Iterator[Small]:
    """The same shell, on a disk of its own."""
    base, shell = host.base.parent / "small", " ".join(host.command[:-1])
    with mounted(base, "size=1m,nr_inodes=100"):
        facts = install(base=base, shell=shell, environment=host.environment).facts
        small = Host(
            base=base,
            spool=Path(facts["spool"]),
            command=[*shell.split(), facts["path"]],
            environment=host.environment,
        )
        try:
            yield Small(small, base / "filler")
        finally:
            small.remove()


@pytest.mark.parametrize("of", ["pages", "inodes"])
def test_a_launch_with_any_room_left_runs_the_whole_script_or_none_of_it(
    host: Host, tmp_path: Path, of: str
) -> None:
    """Each one is once the one that is missing: what is refused has not run and may be launched again."""
    answers = []
    with on_a_small_disk(host) as small:
        for room in range(16):
            run_id, mark = small.host.new_id(), tmp_path / str(room)
            script = f"echo ran >> {mark}; echo out; exit 3"
            if of == "pages":
                small.leave(room)
            else:
                small.leave_inodes(room)
            answer = small.host.launch(run_id, script)[-1]
            answers.append(answer["err"] or answer["result"])
            assert mark.exists() == (answer["result"] == "exited"), (room, answer)
            small.empty()
            if answer["err"]:
                answer = small.host.launch(run_id, script)[-1]
            assert (answer["result"], answer["exit"], mark.read_text()) == ("exited", "3", "ran\n")
            small.host.call("ack", NONCE, run_id)

    refused = {answer for answer in answers if answer != "exited"}
    assert answers == sorted(answers, key=lambda answer: answer == "exited")
    assert {"NoEnoughSpace"} <= refused <= {"NoEnoughSpace", "NoSpaceOrReadOnly", "NotStarted"}
    assert answers[-1] == "exited"


def test_a_script_that_filled_the_disk_ends_by_its_timeout(host_of_any_shell: Host) -> None:
    with on_a_small_disk(host_of_any_shell) as small:
        end = small.host.launch(small.host.new_id(), FILLING.format(filler=small.filler), timeout=10)[-1]

    assert (end["result"], end["total"]) == ("timeout", "7")


def test_a_script_that_filled_the_disk_is_canceled_and_said_to_be(host_of_any_shell: Host) -> None:
    with on_a_small_disk(host_of_any_shell) as small:
        run_id = small.started_and_full()
        assert with_run_id(run_id)

        answer = small.host.cancel(run_id)

        assert (answer["result"], answer["err"]) == ("canceled", "")
        assert not with_run_id(run_id)


def test_an_orphan_on_a_full_disk_is_canceled_and_said_to_be(host_of_any_shell: Host) -> None:
    with on_a_small_disk(host_of_any_shell) as small:
        run_id = small.started_and_full()
        assert with_run_id(run_id)
        os.kill(small.host.identity(run_id, "started"), signal.SIGKILL)

        answer = small.host.cancel(run_id)

        assert (answer["result"], answer["err"]) == ("canceled", "")
        assert not with_run_id(run_id)


def test_an_orphan_that_ends_on_a_full_disk_is_lost_at_once(host_of_any_shell: Host, tmp_path: Path) -> None:
    """Nobody has asked: whoever follows it is told, and its time limit makes no other end of it."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with on_a_small_disk(host_of_any_shell) as small:
        run_id = small.host.new_id()
        script = f"cat /dev/zero > {small.filler} 2>/dev/null; echo filled; read -r _ < {gate}"
        with small.host.launched(run_id, script) as channel:
            assert channel.frame()["started"]
            eventually(lambda: b"filled" in small.printed(run_id), within=20)
            supervisor, result = small.host.identity(run_id, "started"), small.host.base / run_id / "result"
            os.kill(supervisor, signal.SIGKILL)
            eventually(lambda: not any_alive([supervisor]), within=20)

            gate.write_text("\n")
            eventually(result.exists, within=20)

        assert "result=lost code=SupervisorKilled" in result.read_text()


def test_a_run_lost_on_a_full_disk_is_said_to_be_lost(host: Host) -> None:
    with on_a_small_disk(host) as small:
        run_id = small.started_and_full()
        supervisor, child = small.host.identity(run_id, "started"), small.host.identity(run_id, "child")

        kill_all(session_of(supervisor) + session_of(child))

        assert small.host.status(run_id)["code"] == "SupervisorKilled"


def test_an_orderly_shutdown_on_a_full_disk_leaves_its_own_result(host: Host) -> None:
    with on_a_small_disk(host) as small:
        run_id = small.started_and_full()

        os.kill(small.host.identity(run_id, "started"), signal.SIGTERM)

        assert done(small.host, run_id)["result"] == "signal-TERM"


def test_a_script_whose_identity_found_no_room_is_canceled_all_the_same(host_of_any_shell: Host) -> None:
    """The disk has just the room that a launch asks for, and none for what the start adds to it."""
    with on_a_small_disk(host_of_any_shell) as small:
        for pages in range(14):
            run_id = small.host.new_id()
            small.leave(pages)
            with small.host.launched(run_id, "sleep 60") as channel:
                if channel.frame()["started"]:
                    break
        else:
            raise AssertionError("14 pages are not enough for a launch")
        eventually(lambda: with_run_id(run_id))

        answer = small.host.cancel(run_id)

        assert not (small.host.base / run_id / "child").read_text()
        assert answer["result"] == "canceled"
        assert not with_run_id(run_id)
