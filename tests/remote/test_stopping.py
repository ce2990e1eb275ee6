"""Timeout and cancel: what is killed, what is spared, and that the answer waits for it (I5 and I6)."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.remote import NONCE, Host, prepared, toolbox

LIMIT_S = 8
"""The time limit of what must have got ready by then, on a busy machine too."""
TREE = """
(setsid sh -c 'echo $$ > DIR/escaped; exec sleep 99' &)
sh -c 'echo $$ > DIR/child; sleep 98 & echo $! > DIR/grandchild; wait' &
(sh -c 'echo $$ > DIR/daemon; exec sleep 97' &)
until [ -s DIR/escaped ] && [ -s DIR/grandchild ] && [ -s DIR/daemon ]; do sleep 0.02; done
echo $$ > DIR/main
echo ready
sleep 96
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Callable[[], dict[str, bool]]]:
    """Which processes of TREE are alive; whatever is left is ended after the test."""

    def read() -> dict[str, int]:
        return {file.name: int(file.read_text()) for file in tmp_path.iterdir() if file.read_text().strip()}

    yield lambda: {name: is_alive(pid) for name, pid in read().items()}
    for pid in read().values():
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def tree(directory: Path) -> str:
    return TREE.replace("DIR", str(directory))


def test_a_timeout_ends_the_tree_and_what_escaped_from_it_when_swept(
    host_of_any_shell: Host, pids: Callable[[], dict[str, bool]], tmp_path: Path
) -> None:
    """Fault 13: setsid and a double fork, ProcessTree with sweep."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()

    end = host.launch(run_id, tree(tmp_path), timeout=LIMIT_S, sweep=1)[-1]

    assert (
        end["result"],
        end["exit"],
        host.output(run_id)[-1].body.decode(),
    ) == ("timeout", "137", "ready\n")
    assert dict.fromkeys(["escaped", "child", "grandchild", "daemon", "main"], False) == pids()


def test_without_the_sweep_what_left_the_session_and_its_parents_survives(
    host_of_any_shell: Host, pids: Callable[[], dict[str, bool]], tmp_path: Path
) -> None:
    """Fault 13: by decision, the default is descendants and session."""
    host = host_of_any_shell
    end = host.launch(host.new_id(), tree(tmp_path), timeout=LIMIT_S)[-1]

    assert end["result"] == "timeout"
    assert pids() == {"escaped": True, "child": False, "grandchild": False, "daemon": False, "main": False}


def test_process_mode_kills_the_script_alone(
    host_of_any_shell: Host, pids: Callable[[], dict[str, bool]], tmp_path: Path
) -> None:
    """Fault 14: children live on."""
    host = host_of_any_shell
    end = host.launch(host.new_id(), tree(tmp_path), timeout=LIMIT_S, mode="Process")[-1]

    assert end["result"] == "timeout"
    assert pids() == {"escaped": True, "child": True, "grandchild": True, "daemon": True, "main": False}


def test_a_cancel_answers_once_the_tree_is_gone_and_the_follower_sees_it(
    host_of_any_shell: Host, pids: Callable[[], dict[str, bool]], tmp_path: Path
) -> None:
    """Fault 12: cancel while running."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    with host.launched(run_id, tree(tmp_path)) as channel:
        eventually(lambda: "main" in pids())

        answer = host.cancel(run_id)
        alive = pids()
        end = channel.frames()[-1]

    assert (answer["state"], answer["result"], answer["unkilled"]) == ("done", "canceled", "")
    assert {"escaped"} == {name for name, lives in alive.items() if lives}
    assert (end["state"], end["result"]) == ("done", "canceled")


def test_a_cancel_without_pgrep_and_setsid_still_ends_the_descendants(
    pids: Callable[[], dict[str, bool]], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Fault 32: a host of which a tool is missing; perl makes the session."""
    path = toolbox(tmp_path_factory.mktemp("tools"), "perl")
    with prepared("dash", path=path) as host:
        run_id = host.new_id()
        host.start(run_id, tree(tmp_path).replace("(setsid", "(: setsid"))
        eventually(lambda: "main" in pids() or "child" in pids())

        answer = host.cancel(run_id)

        assert answer["result"] == "canceled"
        assert {"child", "grandchild"}.isdisjoint(name for name, lives in pids().items() if lives)


def test_a_cancel_of_an_ended_run_changes_nothing(host_of_any_shell: Host) -> None:
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.launch(run_id, "exit 3")
    assert (host.cancel(run_id)["result"], host.status(run_id)["exit"]) == ("exited", "3")


def test_two_cancels_at_once_agree(host: Host) -> None:
    run_id = host.new_id()
    host.start(run_id, "sleep 60")
    with host.channel("cancel", run_id, NONCE) as one, host.channel("cancel", run_id, NONCE) as two:
        assert [one.frame()["result"], two.frame()["result"]] == ["canceled", "canceled"]


def test_with_a_grace_the_script_may_end_in_its_own_way(host_of_any_shell: Host) -> None:
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    script = "trap 'echo bye; exit 5' TERM; echo on; while :; do sleep 0.1; done"
    host.start(run_id, script, grace=20)
    eventually(lambda: b"on" in host.output(run_id)[0].body)

    answer = host.cancel(run_id)

    assert (answer["result"], answer["exit"]) == ("canceled", "5")
    assert host.output(run_id)[-1].body.endswith(b"bye\n")


def test_after_its_grace_a_deaf_script_is_killed(host: Host) -> None:
    run_id = host.new_id()
    end = host.launch(run_id, "trap '' TERM; while :; do sleep 0.1; done", timeout=LIMIT_S, grace=1)[-1]
    assert (end["result"], end["exit"]) == ("timeout", "137")


def test_a_script_that_kills_itself_has_exited_and_was_not_stopped(host: Host) -> None:
    """A 137 of its own, without anybody having decided to kill it, is no timeout."""
    assert host.launch(host.new_id(), "sleep 0.5; kill -9 $$", timeout=60)[-1]["result"] == "exited"


def test_an_innocent_process_with_a_recycled_pid_is_not_touched(host_of_any_shell: Host) -> None:
    """Fault 22: the number is another process's by now (I5)."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    innocent = subprocess.Popen(["sleep", "60"], start_new_session=True)
    go = host.base / "go"
    host.start(run_id, until(go))
    child = host.base / run_id / "child"
    boot, _, start, start_cs = child.read_text().split()
    child.write_text(f"{boot} {innocent.pid} {start} {start_cs}\n")

    with host.channel("cancel", run_id, NONCE) as channel:
        eventually((host.base / run_id / "why").exists)  # about to kill; it answers once the run is over
        go.touch()
        assert channel.frame()["state"] == "done"

    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


def test_the_sweep_knows_runs_by_their_whole_id(host: Host) -> None:
    """A run whose id begins with the canceled one's is another run."""
    run_id = host.new_id()
    longer = f"{run_id}0"
    host.start(run_id, "sleep 60", sweep=1)
    host.start(longer, "sleep 60")

    host.cancel(run_id)

    assert host.status(longer)["state"] == "running"
    host.cancel(longer)


def test_a_timeout_is_kept_without_any_client(host_of_any_shell: Host) -> None:
    """Fault 15 (the host's half) and I6: nobody is connected; the result waits on the disk."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.start(run_id, "echo kept; sleep 60", timeout=LIMIT_S)

    eventually(lambda: host.status(run_id)["state"] == "done")

    assert (host.status(run_id)["result"], host.output(run_id)[-1].body) == ("timeout", b"kept\n")


def test_what_cannot_be_killed_is_said_to_be_so(host: Host, tmp_path: Path) -> None:
    """Fault 37: a process in uninterruptible sleep, here a write to a frozen file system."""
    image, place = tmp_path / "image", tmp_path / "place"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    run_id = host.new_id()
    try:
        subprocess.run(["fsfreeze", "--freeze", place], check=True)
        host.start(run_id, f"echo stuck; echo x > {place}/file")
        stuck = host.identity(run_id, "child")
        eventually(lambda: " D " in Path(f"/proc/{stuck}/stat").read_text())

        answer = host.cancel(run_id)

        assert (answer["state"], answer["result"], answer["unkilled"]) == ("done", "canceled", "1")
        assert host.output(run_id)[-1].body == b"stuck\n"
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", place], check=False)
        eventually(lambda: not is_alive(stuck))
        subprocess.run(["umount", place], check=True)
