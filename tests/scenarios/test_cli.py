"""The command line against a whole installation: real workers, real sshd, real processes."""

import csv
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Done, Installation, installation
from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.processes import with_run_id
from tests.support.sshd import Sshd, private_sshd

pytestmark = pytest.mark.xdist_group("cli")  # one installation for all of them

HOSTS = {f"i-{number}": f"127.0.1.{number}" for number in (1, 2, 3, 10)}


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with private_sshd() as server:
        yield server


@pytest.fixture(scope="module")
def cloudassist(sshd: Sshd) -> Iterator[Installation]:
    """An installation that is up, with four instances."""
    with installation() as home:
        for instance_id, host in HOSTS.items():
            home.add(sshd, instance_id, host, "--tag", f"host={host}", "--name", f"web-{instance_id}")
        with home.up("--no-flower") as up:
            yield home
            print(up.logs())


def run_ids(invoke_id: str, *instance_ids: str) -> list[str]:
    return [f"{invoke_id}.{instance_id}.0" for instance_id in instance_ids]


# -- run


def test_equal_outputs_are_printed_once_with_the_ids_in_natural_order(cloudassist: Installation) -> None:
    done = cloudassist("run", "echo hello", "--all")

    assert (done.exit, done.out) == (0, "4 instances: i-1, i-2, i-3, i-10:\nhello\n")
    assert "Success: 4 Success" in done.err


def test_what_fails_is_told_with_its_code_and_exit_code(cloudassist: Installation) -> None:
    script = "echo {{ACS::InstanceId}}; [ {{ACS::InstanceId}} != i-2 ] || exit 7"

    done = cloudassist("run", script, "-i", "i-1", "-i", "i-2")

    assert done.exit == 1
    assert done.out == "i-1:\ni-1\ni-2: Failed, ExitCodeNonzero, exit code 7\ni-2\n"
    assert "PartialFailed: 1 Success, 1 Failed" in done.err


def test_json_is_one_document_of_the_agreed_shape(cloudassist: Installation) -> None:
    done = cloudassist("run", "printf 'a\\nb'", "-i", "i-1", "--json")

    answer = done.json
    assert (answer["invocation_status"], answer["invoke_status"]) == ("Success", "Finished")
    assert answer["counts"] == {"Success": 1}
    (instance,) = answer["instances"]
    assert instance.pop("start_time") <= instance.pop("finish_time")
    assert instance == {
        "instance_id": "i-1",
        "invocation_status": "Success",
        "instance_invoke_status": "Finished",
        "exit_code": 0,
        "output": "a\nb",
        "dropped": 0,
        "error_code": "",
        "error_info": "",
    }
    shown = cloudassist("invocation", "show", answer["invoke_id"], "--json").json
    shown["instances"][0].pop("start_time")
    shown["instances"][0].pop("finish_time")
    assert shown == answer


def test_ndjson_gives_each_result_as_it_ends(cloudassist: Installation) -> None:
    """The second one ends only after the first one was read."""
    gate = cloudassist.directory / "gate"
    script = f"[ {{{{ACS::InstanceId}}}} = i-1 ] || {until(gate)}"

    command = cloudassist.start(
        *("run", script, "-i", "i-1", "-i", "i-2", "--ndjson", "--timeout", "600"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    assert command.stdout is not None
    assert json.loads(command.stdout.readline())["instance_id"] == "i-1"
    gate.touch()
    out, _ = command.communicate(timeout=60)
    assert json.loads(out)["instance_id"] == "i-2"
    assert command.returncode == 0


def test_instances_are_chosen_by_name_tag_and_list(cloudassist: Installation) -> None:
    by_name = cloudassist("run", "echo x", "--name", "web-i-1*", "--json").json
    by_tag = cloudassist("run", "echo x", "--tag", "host=127.0.1.2", "--json").json
    by_list = cloudassist("run", "echo x", "--targets", "-", "--json", stdin="i-3 # a\n\ni-2\n").json

    assert [[one["instance_id"] for one in answer["instances"]] for answer in (by_name, by_tag, by_list)] == [
        ["i-1", "i-10"],
        ["i-2"],
        ["i-2", "i-3"],
    ]


def test_parameters_are_enabled_by_what_the_script_holds(cloudassist: Installation) -> None:
    put_in = cloudassist("run", "echo {{what}}", "-i", "i-1", "-p", "what=a b {{what}}", "--json")
    left = cloudassist("run", "echo '{{what}}'", "-i", "i-1", "--no-parameters", "--json")

    assert put_in.json["instances"][0]["output"] == "a b {{what}}\n"
    assert left.json["instances"][0]["output"] == "{{what}}\n"


def test_the_same_token_runs_once(cloudassist: Installation) -> None:
    script = f"echo x >> {cloudassist.directory}/once"

    first = cloudassist("run", script, "-i", "i-1", "--client-token", "t1", "--json").json
    again = cloudassist("run", script, "-i", "i-1", "--client-token", "t1", "--json").json

    assert again["invoke_id"] == first["invoke_id"]
    assert (cloudassist.directory / "once").read_text() == "x\n"


def test_a_host_that_is_not_there_and_one_with_another_key_are_told_apart(
    cloudassist: Installation, sshd: Sshd
) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1fDCvUd1CzlPQgGMKZKOPVKzBYMNxU/2wEXyXDqKHn"
    port, identity = str(sshd.port), sshd.identity
    add = ("instance", "add", "--identity", identity, "--host-key", other, "--host", "127.0.1.99")
    assert cloudassist(*add, "gone", "--port", "1").exit == 0
    assert cloudassist(*add, "stranger", "--port", port).exit == 0

    done = cloudassist("run", "true", "-i", "gone", "-i", "stranger", "--json", within=120)

    codes = {one["instance_id"]: one["error_code"] for one in done.json["instances"]}
    assert (done.exit, codes) == (1, {"gone": "ClientNotRunning", "stranger": "ClientNotOnline"})
    probed = cloudassist("instance", "probe", "stranger", "i-1")
    assert probed.exit == 1
    assert "SHA256:" in probed.out
    assert cloudassist("instance", "rm", "gone", "stranger").exit == 0


# -- detach, wait, stop, logs, retry


def test_a_detached_run_is_waited_for_and_stopped_by_its_id(cloudassist: Installation) -> None:
    script = ("run", "echo begun; sleep 600", "--timeout", "600")
    detached = cloudassist(*script, "-i", "i-1", "-i", "i-2", "--detach")
    invoke_id = detached.out.strip()
    assert detached.out == f"{invoke_id}\n"
    eventually(lambda: all(with_run_id(run) for run in run_ids(invoke_id, "i-1", "i-2")), within=30)

    waited = cloudassist("invocation", "wait", invoke_id, "--wait", "0.2")
    stopped = cloudassist("invocation", "stop", invoke_id, "-i", "i-1")

    assert waited.exit == 3
    assert f"cloudassist invocation stop {invoke_id}" in waited.err
    assert stopped.exit == 0, stopped
    assert with_run_id(run_ids(invoke_id, "i-1")[0]) == []
    assert with_run_id(run_ids(invoke_id, "i-2")[0])
    assert cloudassist("invocation", "stop", invoke_id).exit == 0
    assert with_run_id(run_ids(invoke_id, "i-2")[0]) == []
    assert cloudassist("invocation", "wait", invoke_id).exit == 130
    shown = cloudassist("invocation", "show", invoke_id)
    assert shown.out.count("Terminated") == 3  # the counts and two rows
    assert invoke_id in cloudassist("invocation", "ls", "--instance", "i-1").out


def test_ctrl_c_stops_the_run_and_waits_until_it_has_stopped(cloudassist: Installation) -> None:
    command = cloudassist.start(
        *("run", "sleep 600", "-i", "i-1", "--timeout", "600"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stderr is not None
    invoke_id = command.stderr.readline().split()[0]
    (run_id,) = run_ids(invoke_id, "i-1")
    eventually(lambda: with_run_id(run_id), within=30)

    command.send_signal(signal.SIGINT)

    out, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    assert "i-1: Terminated" in out
    assert with_run_id(run_id) == []


def test_logs_follow_the_output_of_several_instances_line_by_line(cloudassist: Installation) -> None:
    gate = cloudassist.directory / "logs-gate"
    script = f"echo first; {until(gate)}; printf last"
    run = ("run", script, "-i", "i-1", "-i", "i-2", "--timeout", "600", "--detach")
    invoke_id = cloudassist(*run).out.strip()

    logs = cloudassist.start("invocation", "logs", "-f", invoke_id, stdout=subprocess.PIPE)

    assert logs.stdout is not None
    assert sorted([logs.stdout.readline(), logs.stdout.readline()]) == ["i-1 | first\n", "i-2 | first\n"]
    gate.touch()
    out, _ = logs.communicate(timeout=60)
    assert sorted(out.splitlines()) == ["i-1 | last", "i-2 | last"]
    assert cloudassist("invocation", "logs", invoke_id, "-i", "i-2").out == "first\nlast\n"


def test_retry_runs_again_where_it_failed(cloudassist: Installation) -> None:
    marker = cloudassist.directory / "fixed"
    script = f"[ {{{{ACS::InstanceId}}}} = i-1 ] || [ -e {marker} ]"
    first = cloudassist("run", script, "-i", "i-1", "-i", "i-2", "--json").json["invoke_id"]
    marker.touch()

    retried = cloudassist("invocation", "retry", first, "--failed").out.strip()

    assert cloudassist("invocation", "wait", retried, "--json").json["counts"] == {"Success": 1}
    assert first in cloudassist("invocation", "show", retried).out


# -- a terminal


def test_on_a_terminal_counters_are_live_and_outputs_stay(cloudassist: Installation) -> None:
    gate = cloudassist.directory / "terminal-gate"
    script = f"{until(gate)}; echo done"
    main, terminal = os.openpty()
    command = cloudassist.start("run", script, "-i", "i-1", stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)

    shown = b""
    while chunk := _read(main):
        shown += chunk
        if b"0/1 ended" in shown:
            gate.touch()
    os.close(main)

    assert command.wait(120) == 0
    assert b"0/1 ended" in shown
    assert b"\x1b[" in shown
    assert b"done" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other side is closed
        return b""


# -- commands and instances


def test_a_command_is_kept_changed_cloned_run_and_removed(cloudassist: Installation) -> None:
    made = cloudassist.here(
        "command", "create", "greet", "echo hello {{who}}", "--description", "greets"
    ).out.strip()
    assert cloudassist.here("command", "modify", made, "--name", "greet2", "--timeout", "90").exit == 0
    copy = cloudassist.here("command", "clone", made, "--name", "copy").out.strip()

    shown = cloudassist.here("command", "show", made, "--json").json
    listed = cloudassist.here("command", "ls", "--ndjson").ndjson
    ran = cloudassist.here("command", "run", copy, "-i", "i-1", "-p", "who=you")

    assert (shown["name"], shown["timeout"], shown["parameter_names"]) == ("greet2", 90, ["who"])
    assert shown["content"] == "echo hello {{who}}"
    assert {one["command_id"] for one in listed} >= {made, copy}
    assert (ran.exit, ran.out) == (0, "i-1:\nhello you\n")
    assert cloudassist.here("command", "rm", made, copy).exit == 0
    assert cloudassist.here("command", "show", made).err.startswith("error: InvalidCmdId.NotFound: ")


def test_a_csv_file_registers_all_of_its_instances_or_none(
    cloudassist: Installation, sshd: Sshd, tmp_path: Path
) -> None:
    def rows(*more: list[str]) -> Path:
        text = io.StringIO()
        good = [
            "csv-1",
            "127.0.1.51",
            str(sshd.port),
            "root",
            sshd.identity,
            sshd.host_key,
            "",
            "a",
            "k=v;l=w",
        ]
        csv.writer(text).writerows([good, *more])
        file = tmp_path / "hosts.csv"
        file.write_text(text.getvalue())
        return file

    refused = cloudassist.here("instance", "import", str(rows(["csv-1", "h"], ["csv 2", "h", "x"])))
    assert refused.exit == 2
    assert "hosts.csv:2: instance_id: csv-1 stands in line 1 already" in refused.err
    assert "hosts.csv:3: port: 'x' is not a number" in refused.err
    assert "csv-1" not in cloudassist.here("instance", "ls").out

    imported = cloudassist.here("instance", "import", str(rows()))
    again = cloudassist.here("instance", "import", str(rows()))

    assert imported.exit == 0, imported
    assert again.err.startswith("error: InvalidInstance.AlreadyExists: ")
    shown = cloudassist.here("instance", "show", "csv-1", "--json").json
    assert (shown["name"], shown["tags"], shown["user"]) == ("a", {"k": "v", "l": "w"}, "root")
    assert cloudassist.here("instance", "prepare", "csv-1").exit == 0
    assert cloudassist.here("instance", "probe", "csv-1", "--json").json[0]["client_status"] == "online"
    assert cloudassist.here("instance", "rm", "csv-1").exit == 0


def test_an_ssh_configuration_is_imported_with_keys_from_known_hosts(
    cloudassist: Installation, sshd: Sshd, tmp_path: Path
) -> None:
    (tmp_path / "known").write_text(f"[127.0.1.61]:{sshd.port} {sshd.host_key}\n")
    (tmp_path / "config").write_text(
        f"Host gate\n HostName 127.0.1.61\nHost inner\n HostName 127.0.1.61\n ProxyJump gate\n"
        f"Host *\n Port {sshd.port}\n User root\n IdentityFile {sshd.identity}\n"
        f" UserKnownHostsFile {tmp_path}/known\n"
    )

    imported = cloudassist.here("instance", "import", str(tmp_path / "config"))

    assert imported.exit == 0, imported
    done = cloudassist.here("run", "echo through", "-i", "inner")
    assert (done.exit, done.out) == (0, "inner:\nthrough\n"), done
    assert cloudassist.here("instance", "rm", "inner", "gate").exit == 0


# -- doctor, and bad input


def test_doctor_finds_nothing_wrong(cloudassist: Installation) -> None:
    answers: list[Done] = []

    def works() -> bool:
        answers.append(cloudassist("doctor", "--json"))
        print(answers[-1])
        return answers[-1].exit == 0

    eventually(works, within=30)  # the worker must have said of late that it is there

    done = answers[-1]
    assert done.json["works"] is True
    parts = {finding["part"] for finding in done.json["findings"]}
    assert parts >= {"python", "ssh", "data", "store", "storage", "broker", "workers", "beat", "instances"}


BAD = [
    (["run", "x", "-i", "nope"], "InvalidInstance.NotFound: not registered: nope"),
    (["run", "x"], "MissingParam.InstanceId: no instance was named"),
    (["run", "x", "-i", "i-1", "--type", "bat"], "InvalidInstance.NotMatch: "),
    (["run", "x" * 20_000, "-i", "i-1"], "CmdContent.ExceedLimit: "),
    (["run", "{{a}}", "-i", "i-1", "-p", "b=1"], "Parameter.NotMatched: "),
    (["run", "".join(f"{{{{p{n}}}}}" for n in range(21)), "-i", "i-1"], "CmdParamCount.ExceedLimit: "),
    (["run", "{{a.b}}", "-i", "i-1"], "CmdParam.InvalidParamName: "),
    (["run", "--file", "/no/such", "-i", "i-1"], "cannot read /no/such: No such file"),
    (["run", "x", "--no-such-option"], "No such option"),
    (["invocation", "show", "t-nope"], "InvalidInvokeId.NotFound: "),
    (["invocation", "retry", "t-nope", "--failed"], "InvalidInvokeId.NotFound: "),
    (["command", "run", "c-nope", "-i", "i-1"], "InvalidCmdId.NotFound: "),
    (["instance", "add", "i-1", "--host", "h"], "InvalidInstance.AlreadyExists: "),
    (["instance", "add", "i-9", "--host", "h", "--host-key", "junk"], "InvalidInstance.Malformed: "),
]


@pytest.mark.parametrize(
    ("arguments", "told"), BAD, ids=[told.split(":")[0] + str(at) for at, (_, told) in enumerate(BAD)]
)
def test_bad_input_is_one_line_with_a_code_and_nothing_is_done(
    cloudassist: Installation, arguments: list[str], told: str
) -> None:
    done = cloudassist.here(*arguments)

    assert (done.exit, done.out) == (2, "")
    assert done.err.startswith(f"error: {told}")
    assert done.err.count("\n") == 1


def test_a_missing_user_or_directory_is_the_runs_own_failure(cloudassist: Installation) -> None:
    no_user = cloudassist("run", "true", "-i", "i-1", "--user", "nobody-at-all", "--json")
    no_directory = cloudassist("run", "true", "-i", "i-1", "--cwd", "/no/such", "--json")

    assert (no_user.exit, no_user.json["instances"][0]["error_code"]) == (1, "AccountNotExists")
    assert (no_directory.exit, no_directory.json["instances"][0]["error_code"]) == (1, "DirectoryNotExists")
