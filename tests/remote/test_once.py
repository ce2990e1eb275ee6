"""A script starts at most once, whatever is sent twice, cut off, or canceled: I1, I2, I4 and I8."""

import contextlib
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.remote import NONCE, Frame, Host, payload, prepared


def lines(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """A file to which the script appends a line each time that it is started."""
    return tmp_path / "traces"


def test_eight_launches_at_once_start_it_once_and_all_see_its_end(
    host_of_any_shell: Host, traces: Path
) -> None:
    """Fault 7: redelivery, eight workers launch the same run."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    channels = [host.channel("launch", run_id, NONCE) for _ in range(8)]
    greetings = [channel.frame() for channel in channels]

    for channel in channels:
        channel.send(payload(f"echo x >> {traces}; sleep 0.5; echo done; exit 4"))
    ends = [channel.frames()[-1] for channel in channels]

    assert {"absent", "prepared"} >= {greeting["state"] for greeting in greetings}
    assert {("done", "exited", "4")} == {(end["state"], end["result"], end["exit"]) for end in ends}
    assert lines(traces) == 1
    for channel in channels:
        channel.__exit__()


def test_short_runs_launched_eight_times_at_once_start_once(host: Host, traces: Path) -> None:
    """Fault 7: the race is closest where the script takes no time."""
    for _ in range(5):
        run_id = host.new_id()
        traces.unlink(missing_ok=True)
        channels = [host.channel("launch", run_id, NONCE) for _ in range(8)]
        for channel in channels:
            with contextlib.suppress(BrokenPipeError):  # it does not read: its greeting says why
                channel.send(payload(f"echo x >> {traces}", text=True))
        answers = [channel.frame() for channel in channels]
        ends = [
            channel.frames()[-1] if answer["more"] else answer
            for channel, answer in zip(channels, answers, strict=True)
        ]

        assert {"done"} == {host.status(run_id)["state"], *(end["state"] for end in ends)} - {"running"}
        assert lines(traces) == 1
        for channel in channels:
            channel.__exit__()


@pytest.mark.parametrize("spec", [{"len": 500}, {"len": 500, "lines": 9}], ids=["bytes", "text"])
def test_a_script_cut_off_in_the_upload_never_runs_and_can_be_sent_again(
    host_of_any_shell: Host, traces: Path, spec: dict[str, int]
) -> None:
    """Fault 1: the connection is cut in the middle of the upload (I2)."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    header = "".join(f"{key}={value}\n" for key, value in spec.items())

    with host.channel("launch", run_id, NONCE) as channel:
        channel.frame()
        channel.send(f"timeout=5\n{header}--\ntouch {traces}\ntouch".encode())
        channel.let_go()
        answer = channel.frame()

    assert answer["err"] == "Truncated"
    assert host.status(run_id)["state"] == "prepared"
    assert not list((host.base / run_id).glob("script*"))
    assert host.ended(run_id, "echo ok").body == b"ok\n"
    assert not traces.exists()


def test_a_header_cut_off_commits_nothing(host_of_any_shell: Host) -> None:
    """Fault 1: cut inside the header."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()

    with host.channel("launch", run_id, NONCE) as channel:
        channel.frame()
        channel.send(b"timeout=5\nlen=5")
        channel.let_go()

        assert channel.frame()["err"] == "Truncated"
    assert host.status(run_id)["state"] == "absent"


def test_a_greeting_without_a_payload_commits_nothing(host: Host) -> None:
    """Fault 6: the worker dies between the commit of Launching and the payload."""
    run_id = host.new_id()
    with host.channel("launch", run_id, NONCE) as channel:
        greeting = channel.frame()

    assert greeting["state"] == "absent"
    assert host.status(run_id)["state"] == "absent"


def test_a_payload_altered_on_its_way_is_refused(host: Host, traces: Path) -> None:
    run_id = host.new_id()
    answer = host.launch(run_id, f"touch {traces}", sha256="0" * 64)[-1]

    assert (answer["err"], answer["detail"]) == ("Truncated", "sha256")
    assert not traces.exists()


def test_a_client_that_leaves_after_the_upload_finds_the_run_and_does_not_start_a_second(
    host_of_any_shell: Host, traces: Path
) -> None:
    """Fault 2: cut after the upload, before the reply; fault 6 after sending."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    go = host.base / "go"
    script = f"echo x >> {traces}; {until(go)}; echo end"
    with host.launched(run_id, script) as channel:
        channel.let_go()
        eventually(lambda: host.status(run_id)["state"] == "running")

    again = host.call("launch", run_id, NONCE)
    go.touch()
    eventually(lambda: host.status(run_id)["state"] == "done")

    assert [frame["state"] for frame in again] == ["running"]
    assert host.output(run_id)[-1].body == b"end\n"
    assert lines(traces) == 1


def test_a_launcher_killed_with_its_whole_group_leaves_the_run_alone(host_of_any_shell: Host) -> None:
    """Fault 4: HUP and KILL to the launcher's process group."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    go = host.base / "go"
    with host.launched(run_id, f"{until(go)}; echo survived") as channel:
        channel.frame()
        os.killpg(channel.process.pid, signal.SIGHUP)
        os.killpg(channel.process.pid, signal.SIGKILL)
        channel.ended()
    go.touch()

    eventually(lambda: host.status(run_id)["state"] == "done")
    assert host.output(run_id)[-1].body == b"survived\n"


def test_a_launch_long_after_the_ack_gets_the_old_result(host_of_any_shell: Host, traces: Path) -> None:
    """Fault 8: a redelivery days later (I8)."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.launch(run_id, f"echo x >> {traces}; exit 7")
    acked = host.call("ack", NONCE, run_id)[-1]

    again = host.call("launch", run_id, NONCE)[-1]

    assert acked["acked"] == "1"
    assert (again["state"], again["exit"]) == ("done", "7")
    assert {"started", "result"} == {file.name for file in (host.base / run_id).iterdir()}
    assert not (host.spool / run_id).exists()
    assert lines(traces) == 1


def test_a_canceled_run_that_has_not_started_never_starts(host_of_any_shell: Host, traces: Path) -> None:
    """Fault 10: the cancel comes before the launch and wins its commit point (I4)."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()

    fenced = host.cancel(run_id)
    late = host.call("launch", run_id, NONCE)[-1]

    assert (fenced["state"], fenced["result"], fenced["notstarted"]) == ("done", "canceled", "1")
    assert (late["state"], late["result"], late["code"]) == ("done", "canceled", "NotStarted")
    assert not traces.exists()


def test_a_cancel_between_greeting_and_payload_wins(host: Host, traces: Path) -> None:
    """Fault 10: fenced while the launcher waits for the script."""
    run_id = host.new_id()
    with host.channel("launch", run_id, NONCE) as channel:
        channel.frame()
        host.cancel(run_id)
        channel.send(payload(f"touch {traces}"))
        end = channel.frame()

    assert (end["result"], end["notstarted"]) == ("canceled", "1")
    assert not traces.exists()


def test_a_cancel_that_races_the_start_either_fences_it_or_kills_it(host: Host, traces: Path) -> None:
    """Fault 11: exactly one of the two wins."""
    run_ids = [host.new_id() for _ in range(12)]

    def launch(run_id: str) -> Frame:
        with host.channel("launch", run_id, NONCE) as channel:
            if channel.frame()["more"]:
                channel.send(payload(f"echo x >> {traces}.{run_id}; sleep 60"))
                return channel.frames()[-1]
        return host.call("follow", run_id, NONCE, 0)[-1]  # the cancel was first, maybe only just

    with ThreadPoolExecutor(24) as threads:
        launches = [threads.submit(launch, run_id) for run_id in run_ids]
        cancels = [threads.submit(host.cancel, run_id) for run_id in run_ids]
        ends = [
            (launched.result(), cancel.result()) for launched, cancel in zip(launches, cancels, strict=True)
        ]

    for run_id, (launched, canceled) in zip(run_ids, ends, strict=True):
        assert {"canceled"} == {launched["result"], canceled["result"]}
        if canceled["notstarted"]:
            assert not Path(f"{traces}.{run_id}").exists()


def test_a_run_started_under_another_base_is_found_there(host: Host, traces: Path, tmp_path: Path) -> None:
    """Fault 26: the first base became read-only, a new one was prepared: the old run is the run (I1)."""
    run_id = host.new_id()
    host.launch(run_id, f"echo x >> {traces}; exit 5")
    home = tmp_path / "home"
    shutil.copytree(host.base, home / ".ca")

    with prepared("dash", environment={"HOME": str(home)}) as other:
        again = other.call("launch", run_id, NONCE)[-1]

    assert (again["state"], again["exit"]) == ("done", "5")
    assert lines(traces) == 1


def test_garbage_collection_never_takes_a_run_without_a_result(host: Host) -> None:
    """Fault 9 (the host's half): only tombstones with a result go."""
    over, going = host.new_id(), host.new_id()
    host.launch(over, "true")
    host.start(going, "sleep 60")

    answer = host.call("gc", NONCE, 0)[-1]

    assert answer["removed"] == "1"
    assert [host.status(over)["state"], host.status(going)["state"]] == ["absent", "running"]
    host.cancel(going)
