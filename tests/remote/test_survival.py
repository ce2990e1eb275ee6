"""Killed supervisors, reboots, full and odd disks: a result follows from proof, or there is none (I3, I7)."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.processes import any_alive
from tests.support.remote import NONCE, STANDARD_PATH, Frame, Host, install, prepared, toolbox


def done(host: Host, run_id: str, within: float = 15) -> Frame:
    eventually(lambda: host.status(run_id)["state"] == "done", within=within)
    return host.status(run_id)


def session_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == pid and fields[0] not in "ZX":
                found.append(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    eventually(lambda: not any_alive(pids), within=20)  # a busy machine takes its time


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=755,{options}", "none", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_an_orphan_is_stopped_at_its_timeout_and_keeps_its_output(host_of_any_shell: Host) -> None:
    """Fault 16: the supervisor is killed; the watchdog still enforces the timeout."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    go = host.base / "go"
    host.start(run_id, f"echo before; {until(go)}; echo after; sleep 60", timeout=20)

    os.kill(host.identity(run_id, "started"), signal.SIGKILL)
    eventually(lambda: host.status(run_id)["state"] == "orphan")
    go.touch()
    end = done(host, run_id, within=60)

    assert (
        end["result"],
        end["total"],
        host.output(run_id)[-1].body,
    ) == ("timeout", "13", b"before\nafter\n")


def test_an_orphan_can_be_canceled(host_of_any_shell: Host) -> None:
    """Fault 16: the supervisor is killed, then the run is canceled."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.start(run_id, "sleep 60")
    child = host.identity(run_id, "child")
    os.kill(host.identity(run_id, "started"), signal.SIGKILL)

    answer = host.cancel(run_id)

    assert answer["result"] == "canceled"
    assert not session_of(child)


def test_an_orphan_that_ends_by_itself_is_lost_and_its_follower_told(host_of_any_shell: Host) -> None:
    """Fault 16: nobody can know the exit code; the output is there."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    go = host.base / "go"
    with host.launched(run_id, f"echo out; {until(go)}; echo put") as channel:
        channel.frame()
        supervisor = host.identity(run_id, "started")
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: not any_alive([supervisor]))
        go.touch()
        end = channel.frames()[-1]

    assert (end["result"], end["code"], end["total"]) == ("lost", "SupervisorKilled", "8")
    assert host.output(run_id)[-1].body == b"out\nput\n"


def test_a_run_of_which_every_process_was_killed_is_lost_and_never_run_again(host_of_any_shell: Host) -> None:
    """Fault 17: supervisor, watchdog and script killed."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.start(run_id, "sleep 60")
    supervisor, child = host.identity(run_id, "started"), host.identity(run_id, "child")

    kill_all(session_of(supervisor) + session_of(child))
    end = host.status(run_id)
    again = host.call("launch", run_id, NONCE)[-1]

    assert (end["state"], end["result"], end["code"]) == ("done", "lost", "SupervisorKilled")
    assert (again["state"], again["result"]) == ("done", "lost")


def test_another_boot_id_means_lost_to_a_reboot_and_never_run_again(host_of_any_shell: Host) -> None:
    """Fault 19: reboot or power cut while running; what is left on the disk is `started` of another boot."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.start(run_id, "sleep 60")
    supervisor, child = host.identity(run_id, "started"), host.identity(run_id, "child")
    kill_all(session_of(supervisor) + session_of(child))
    started = host.base / run_id / "started"
    started.write_text(" ".join(["0-another-boot", *started.read_text().split()[1:]]) + "\n")

    end = host.status(run_id)
    again = host.call("launch", run_id, NONCE)[-1]

    assert (end["state"], end["result"], end["code"]) == ("done", "lost", "InstanceRebooted")
    assert again["code"] == "InstanceRebooted"


def test_an_empty_result_of_before_a_power_cut_is_no_result(host_of_any_shell: Host) -> None:
    """Fault 19 and I7: the file system kept the name and lost the bytes."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.launch(run_id, "true")
    started, result = host.base / run_id / "started", host.base / run_id / "result"
    started.write_text(" ".join(["0-another-boot", *started.read_text().split()[1:]]) + "\n")
    result.write_text("")

    assert (host.status(run_id)["state"], host.status(run_id)["code"]) == ("done", "InstanceRebooted")


def test_an_orderly_shutdown_leaves_its_own_result(host_of_any_shell: Host) -> None:
    """Fault 20: TERM to the supervisor."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.start(run_id, "echo on; sleep 60 & wait")
    child = host.identity(run_id, "child")

    os.kill(host.identity(run_id, "started"), signal.SIGTERM)

    assert done(host, run_id)["result"] == "signal-TERM"
    assert not session_of(child)


def test_the_spool_lost_to_a_reboot_leaves_the_result(host: Host) -> None:
    """A tmpfs is empty after a reboot: the result is on the disk, the output is gone and said to be."""
    run_id = host.new_id()
    host.launch(run_id, "echo out; exit 4")
    for file in (host.spool / run_id).iterdir():
        file.unlink()
    (host.spool / run_id).rmdir()

    answer = host.output(run_id)[-1]

    assert (answer["exit"], answer["total"], answer["gone"], answer.body) == ("4", "4", "1", b"")
    assert host.ended(host.new_id(), "echo new").body == b"new\n"


def test_a_full_disk_at_launch_starts_nothing_and_the_same_id_works_later(host_of_any_shell: Host) -> None:
    """Fault 24: disk full at launch. Fault 25: it fills up while the script runs."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    shell = " ".join(host.command[:-1])
    base = host.base.parent / "small"
    with mounted(base, "size=1m"):
        facts = install(base=base, shell=shell, environment=host.environment).facts
        small = Host(
            base=base,
            spool=Path(facts["spool"]),
            command=[*shell.split(), facts["path"]],
            environment=host.environment,
        )
        filler = base / "filler"
        try:
            filler.write_bytes(b"x" * 2_000_000)
        except OSError:
            pass
        refused = small.launch(run_id, "echo no")[-1]
        filler.unlink()
        end = small.ended(run_id, f"head -c 2000000 /dev/zero > {filler}; echo intact; exit 3")
        small.remove()

    assert refused["err"] in ("NoEnoughSpace", "NoSpaceOrReadOnly")
    assert (end["result"], end["exit"]) == ("exited", "3")
    assert end.body.endswith(b"intact\n")


def test_a_full_spool_cuts_the_output_and_nothing_else(host_of_any_shell: Host) -> None:
    """Fault 25: no space for the output; the script neither blocks nor dies of it."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    with mounted(host.spool, "size=64k"):
        end = host.launch(run_id, "head -c 3000000 /dev/zero; exit 4", head=100000)[-1]

    assert (end["result"], end["exit"], end["oerr"]) == ("exited", "4", "ENOSPC")


def test_a_read_only_base_is_named_and_the_next_one_taken() -> None:
    """Fault 26: read-only base."""
    with prepared("dash") as host:
        home = host.base.parent / "home"
        (home / ".ca").mkdir(parents=True)
        home.chmod(0o755)
        variables = {**host.environment, "HOME": str(home)}
        with mounted(home / ".ca", "ro"):
            refused = install(base=home / ".ca" / "x", shell=None, environment=variables)
            taken = install(
                base=None,
                shell=None,
                environment=variables,
                prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            )
        subprocess.run(["rm", "-rf", "/var/tmp/ca-65534", taken["spool"]], check=True)

    assert refused["err"] == "NoSpaceOrReadOnly"
    assert taken["base"] == "/var/tmp/ca-65534"


def test_a_base_that_turns_read_only_starts_nothing(host: Host) -> None:
    """Fault 26: read-only after it was prepared."""
    base = host.base.parent / "turning"
    with mounted(base, "size=1m"):
        facts = install(base=base, shell="dash", environment=host.environment).facts
        other = Host(
            base=base,
            spool=Path(facts["spool"]),
            command=["dash", facts["path"]],
            environment=host.environment,
        )
        subprocess.run(["mount", "-o", "remount,ro", base], check=True)
        answers = [other.launch(host.new_id(), "true")[-1], other.cancel(host.new_id())]
        other.remove()

    assert [answer["err"] for answer in answers] == ["NoSpaceOrReadOnly"] * 2


def test_no_more_inodes_is_named(host: Host) -> None:
    """Fault 26: inodes exhausted."""
    base = host.base.parent / "inodes"
    with mounted(base, "size=4m,nr_inodes=40"):
        facts = install(base=base, shell="dash", environment=host.environment).facts
        other = Host(
            base=base,
            spool=Path(facts["spool"]),
            command=["dash", facts["path"]],
            environment=host.environment,
        )
        answers = [other.launch(host.new_id(), "true")[-1] for _ in range(12)]
        other.remove()

    assert answers[0]["state"] == "done"
    assert answers[-1]["err"] in ("NoSpaceOrReadOnly", "NoEnoughSpace")


def test_a_noexec_base_runs_every_kind_of_script(host_of_any_shell: Host) -> None:
    """Fault 27: the interpreter is started on the file."""
    host = host_of_any_shell
    shell = " ".join(host.command[:-1])
    base = host.base.parent / "noexec"
    with mounted(base, "noexec"):
        facts = install(base=base, shell=shell, environment=host.environment).facts
        other = Host(
            base=base,
            spool=Path(facts["spool"]),
            command=[*shell.split(), facts["path"]],
            environment=host.environment,
        )
        plain = other.ended(host.new_id(), "echo plain")
        python = other.ended(host.new_id(), "#!/usr/bin/env python3\nprint(6 * 7)\n")
        other.remove()

    assert [plain.body, python.body] == [b"plain\n", b"42\n"]


def test_start_and_end_are_on_the_uptime_clock(host: Host) -> None:
    """Fault 23: a stepped clock (the helper has no other clock: `toolbox` holds no `date`)."""
    end = host.launch(host.new_id(), "sleep 1")[-1]
    ran_cs = int(end["end_cs"]) - int(end["start_cs"])
    uptime_cs = round(float(Path("/proc/uptime").read_text().split()[0]) * 100)

    assert ran_cs >= 100
    assert int(end["end_cs"]) <= uptime_cs


def test_a_root_script_that_deletes_its_run_directory_loses_its_result(host: Host) -> None:
    """Fault 42: cannot be prevented for root; it must end, and not as a success."""
    run_id = host.new_id()
    with host.launched(run_id, f"rm -rf {host.base}/{run_id}; exit 0", timeout=5) as channel:
        answer = channel.frame()

    assert answer["result"] != "exited"


def test_a_helper_replaced_during_a_run_leaves_the_run_alone(host: Host) -> None:
    """Fault 44: another version is installed and the old one's file removed."""
    run_id = host.new_id()
    go = host.base / "go"
    host.start(run_id, f"{until(go)}; echo through; exit 6")
    newer = host.base / "bin" / "ca-00000000.sh"
    newer.write_bytes(Path(host.command[-1]).read_bytes())
    Path(host.command[-1]).unlink()
    host.command[-1] = str(newer)

    go.touch()
    end = done(host, run_id)

    assert (end["result"], end["exit"], host.output(run_id)[-1].body) == ("exited", "6", b"through\n")


def test_an_upload_with_the_spool_of_somebody_else_stays_beside_the_run(host: Host) -> None:
    """The spool's place is world-writable after a reboot: what another user made there is not used."""
    subprocess.run(["chown", "-R", "65534", host.spool], check=True)
    run_id = host.new_id()

    end = host.ended(run_id, "echo safe")

    assert end.body == b"safe\n"
    assert (host.base / run_id / "o").is_dir()
    assert host.call("ack", NONCE, run_id)[-1]["acked"] == "1"
    assert not (host.base / run_id / "o").exists()


def test_all_of_it_without_the_usual_tools(tmp_path: Path) -> None:
    """Fault 32: no setsid, mkfifo, pgrep, sha256sum, setpriv: it ends with its result and is seen live."""
    path = toolbox(tmp_path / "tools")
    for tool in ("mkfifo", "sha256sum"):
        (Path(path) / tool).unlink()
    with prepared("dash", path=path) as host:
        go = tmp_path / "go"
        script = f"echo one; {until(go)}; echo two"
        with host.launched(host.new_id(), script, sha256="0" * 64) as channel:
            frames = [channel.frame()]
            while not frames[-1].body:
                frames.append(channel.frame())
            go.touch()
            frames += channel.frames()

        assert (frames[-1]["result"], frames[-1]["exit"]) == ("exited", "0")
        assert [frame.body for frame in frames if frame.body] == [b"one\n", b"two\n"]
        assert STANDARD_PATH not in host.environment["PATH"]
