"""What a script's end becomes: exit codes, output byte for byte, errors by name."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.remote import Host, encoded, joined, union


def test_exit_code_and_both_streams_arrive_in_order(host_of_any_shell: Host) -> None:
    host = host_of_any_shell
    end = host.ended(host.new_id(), "echo hi; echo err >&2; exit 7")

    assert (end["state"], end["result"], end["exit"], end["total"]) == ("done", "exited", "7", "7")
    assert end.body == b"hi\nerr\n"
    assert int(end["start_cs"]) <= int(end["end_cs"]) <= int(end["now_cs"])


@pytest.mark.parametrize("by_lines", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize(
    ("script", "output"),
    [
        ('printf "no newline"', b"no newline"),
        ("#!/bin/sh -e\n  printf '%s\\n' \"  two  \\\\n blanks\"\nfalse\necho no\n", b"  two  \\n blanks\n"),
        ("cat <<'x'\n\ttab \\ backslash % * ? $(no)\nx", b"\ttab \\ backslash % * ? $(no)\n"),
    ],
)
def test_a_script_arrives_byte_for_byte(
    host_of_any_shell: Host, script: str, output: bytes, by_lines: bool
) -> None:
    host = host_of_any_shell
    assert output == joined(host.launch(host.new_id(), script, text=by_lines))


def test_a_script_may_hold_any_byte(host: Host) -> None:
    script = b"#!/bin/cat\n" + bytes(range(256)) * 20
    assert script == joined(host.launch(host.new_id(), script))


def test_the_script_killed_from_outside_has_exited_with_137(host: Host) -> None:
    """Fault 18: only the script is killed (out of memory)."""
    end = host.launch(host.new_id(), "kill -9 $$")[-1]
    assert (end["result"], end["exit"]) == ("exited", "137")


@pytest.mark.parametrize(
    ("script", "codes"),
    [
        ("#!/no/such/bash\ntrue\n", {"127"}),
        ("#!/bin/sh\r\ntrue\r\n", {"127"}),
        ("#!/etc/passwd\ntrue\n", {"126"}),
        ("no_such_command_at_all\n", {"127"}),
    ],
    ids=["missing", "crlf", "not executable", "command"],
)
def test_an_interpreter_that_cannot_run_is_the_exit_code_with_a_message(
    host_of_any_shell: Host, script: str, codes: set[str]
) -> None:
    """Faults 28 and 29: no bash, missing or bad interpreter, CRLF."""
    host = host_of_any_shell
    frames = host.launch(host.new_id(), script)
    assert frames[-1]["exit"] in codes
    assert joined(frames)


def test_an_interpreter_with_an_argument_is_started_with_it(host_of_any_shell: Host) -> None:
    host = host_of_any_shell
    assert joined(host.launch(host.new_id(), "#!/usr/bin/env python3\nprint(6 * 7)\n")) == b"42\n"


def test_a_launcher_starts_the_script_by_its_file_name(host_of_any_shell: Host) -> None:
    host = host_of_any_shell
    launcher = encoded("X=a%b; echo $X; python3 -u ") + "%SCRIPT%" + encoded(' one "t w o"')

    frames = host.launch(
        host.new_id(), "import sys\nprint(sys.argv[1:], sys.argv[0][-3:])\n", launcher=launcher, ext=".py"
    )

    assert joined(frames) == b"a%b\n['one', 't w o'] .py\n"


def test_a_launcher_may_be_the_script_alone(host: Host) -> None:
    assert joined(host.launch(host.new_id(), "#!/bin/sh\necho ok\n", launcher="%SCRIPT%")) == b"ok\n"


def test_the_environment_is_clean_and_the_input_empty(host_of_any_shell: Host) -> None:
    """Fault 36: the script reads its input."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    host.environment = {**host.environment, "LEFT_OVER": "1", "SSH_CLIENT": "x"}

    output = joined(
        host.launch(run_id, "cat; umask; pwd; env | sed 's/=.*//' | sort | tr '\\n' ' '; echo $CA_RUN_ID")
    )

    umask, directory, names = output.decode().splitlines()
    assert umask.rjust(4, "0") == "0022"
    assert directory == "/root"
    assert run_id == names.split()[-1]
    assert {"PATH", "HOME", "LANG", "USER", "LOGNAME", "SHELL", "CA_RUN_ID"} == set(names.split()[:-1]) - {
        "PWD",
        "_",
        "SHLVL",
        "OLDPWD",
    }


def test_a_directory_of_choice_may_have_blanks_and_newlines(host_of_any_shell: Host) -> None:
    host = host_of_any_shell
    place = host.base / "a b%\n"
    place.mkdir()
    assert f"{place}\n".encode() == joined(host.launch(host.new_id(), "pwd", cwd=encoded(str(place))))


@pytest.mark.parametrize(
    ("spec", "code"),
    [({"cwd": "/no/such"}, "DirectoryNotExists"), ({"user": "nosuchuser"}, "AccountNotExists")],
)
def test_what_is_missing_is_named_and_nothing_runs(
    host_of_any_shell: Host, spec: dict[str, str], code: str
) -> None:
    """Fault 30: missing directory, missing user."""
    host = host_of_any_shell
    end = host.launch(host.new_id(), f"touch {host.base}/ran", **spec)[-1]
    assert ("invalid", code) == (end["result"], end["code"])
    assert not (host.base / "ran").exists()


@pytest.mark.parametrize(
    "header",
    [
        "timeout=x",
        "mode=Both",
        "head=-1",
        "ext=py",
        "ext=./x",
        "user=%ZZ",
        "cwd=%00",
        "launcher=%SC",
        "sha256=ab",
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(host: Host, header: str) -> None:
    key, value = header.split("=", 1)
    answer = host.launch(host.new_id(), "true", **{key: value})[-1]
    assert ("BadSpec", key) == (answer["err"], answer["detail"])


@pytest.mark.parametrize("run_id", ["", ".x", "a/b", "a b", "x" * 161, "a*"])
def test_an_id_that_is_no_file_name_is_refused(host: Host, run_id: str) -> None:
    assert host.status(run_id)["err"] == "BadId"


def test_an_unknown_operation_is_refused(host: Host) -> None:
    assert host.call("dance", "n0nce")[-1]["err"] == "BadOperation"


BLOCK = bytes(value for value in range(256) for _ in range(3)) + b"\0\xff\n"


@pytest.mark.parametrize("size", [0, 1, 5999, 6000, 6001, 23999, 24000, 24001, 524288, 524289, 1100000])
def test_head_and_tail_are_exact_at_every_edge(host: Host, size: int) -> None:
    """Fault 35: NUL, invalid UTF-8, no newline at the end."""
    data = (BLOCK * (size // len(BLOCK) + 1))[:size]
    (host.base / "data").write_bytes(data)
    run_id = host.new_id()

    frames = host.launch(run_id, f"cat {host.base}/data", head=6000, tail=18000)
    again = host.output(run_id)

    head, tail = (data, b"") if size <= 24000 else (data[:6000], data[-18000:])
    wanted = head + tail
    assert (str(size), str(max(0, size - 24000))) == (frames[-1]["total"], frames[-1]["dropped"])
    assert wanted == joined(again)
    assert (head, tail) == (union(frames, len(head)), union(frames, len(tail), size - len(tail)))
    assert wanted[10000:] == joined(host.output(run_id, 10000 if size <= 24000 else size - 14000))


def test_head_and_tail_are_exact_under_any_shell(host_of_any_shell: Host) -> None:
    """Fault 35, with 128-line segments: many small writes."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    script = "i=0; while [ $i -lt 8000 ]; do echo line$i; i=$((i+1)); done"
    whole = "".join(f"line{number}\n" for number in range(8000)).encode()

    frames = host.launch(run_id, script, head=600, tail=1800)

    assert str(len(whole)) == frames[-1]["total"]
    assert whole[:600] + whole[-1800:] == joined(host.output(run_id))
    assert (whole[:600], whole[-1800:]) == (union(frames, 600), union(frames, 1800, len(whole) - 1800))


def test_thirty_megabytes_take_little_space(host: Host) -> None:
    """Fault 34: much output; exact total, bounded spool."""
    run_id = host.new_id()
    end = host.launch(run_id, "head -c 30000000 /dev/zero")[-1]

    assert end["total"] == "30000000"
    assert sum(file.stat().st_blocks for file in (host.spool / run_id).iterdir()) * 512 < 2_600_000


def test_large_kept_output_comes_in_several_frames(host: Host) -> None:
    run_id = host.new_id()

    frames = host.launch(run_id, "head -c 200000 /dev/zero | tr '\\0' x", head=100000, tail=100000)
    again = host.output(run_id)

    assert joined(again) == union(frames, 200000) == b"x" * 200000
    assert all(len(frame.body) <= 65536 for frame in frames + again)


@pytest.mark.parametrize("lasting", [0, 1])
def test_a_daemon_that_keeps_the_output_does_not_hold_the_result_and_lives(
    host_of_any_shell: Host, lasting: int
) -> None:
    """Fault 33: a chatty daemon; it is neither waited for nor killed, not even by the ack."""
    host, run_id = host_of_any_shell, host_of_any_shell.new_id()
    script = (
        f"(while :; do echo tick; sleep 0.05; done) & echo $! > {host.base}/daemon; sleep {lasting}; echo end"
    )

    end = host.launch(run_id, script, timeout=30)[-1]
    daemon = int((host.base / "daemon").read_text())
    host.call("ack", "n0nce", run_id)

    assert (end["result"], end["exit"]) == ("exited", "0")
    written = daemon_writes(daemon)
    eventually(lambda: daemon_writes(daemon) > written + 3)
    os.kill(daemon, signal.SIGKILL)


def daemon_writes(pid: int) -> int:
    """How many times the process has written: one that dies of a closed pipe raises here."""
    facts = Path(f"/proc/{pid}/io").read_text().split()
    return int(facts[facts.index("syscw:") + 1])


def test_a_silent_daemon_does_not_hold_the_result(host: Host) -> None:
    """Fault 33: silent."""
    end = host.ended(host.new_id(), f"sleep 300 & echo $! > {host.base}/daemon; echo quiet", timeout=20)

    os.kill(int((host.base / "daemon").read_text()), signal.SIGKILL)
    assert (end["result"], end.body) == ("exited", b"quiet\n")


def test_a_secret_script_is_gone_with_its_process(host: Host) -> None:
    run_id = host.new_id()
    host.launch(run_id, "echo s3cret", secret=1, cwd="/tmp")
    assert not [file for file in (host.base / run_id).iterdir() if file.name.startswith(("script", "spec"))]
