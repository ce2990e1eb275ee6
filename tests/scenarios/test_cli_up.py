"""`cloudassist up`: everything in one, nothing left behind. And the command line when it is not up."""

import base64
import http.client
import io
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from cloudassist_tasks.cli.render import note
from cloudassist_tasks.cli.up import told
from tests.faults.machine import filled
from tests.remote.test_survival import mounted
from tests.support.command_line import Installation, installation
from tests.support.eventually import eventually
from tests.support.ports import own_port
from tests.support.processes import descendants


@pytest.fixture
def cloudassist() -> Iterator[Installation]:
    """An installation that is down, with this machine as the instance `here`."""
    with installation() as home:
        done = home("instance", "add", "here", "--local")
        assert done.exit == 0, done
        yield home


def test_up_runs_scripts_serves_flower_behind_a_password_and_leaves_nothing(
    cloudassist: Installation,
) -> None:
    with cloudassist.up("--flower-port", "0") as up:
        ran = cloudassist("run", "echo hello", "-i", "here")
        second = cloudassist("up")
        url = re.search(r"http://127\.0\.0\.1:\d+/", up.text())
        password = re.search(r"its password (\S+) ", up.text())
        assert url is not None
        assert password is not None
        eventually(lambda: _status(url[0]) == 401, within=120)
        eventually(lambda: _status(url[0], f"admin:{password[1]}") == 200, within=60)
        kept = cloudassist.data_dir / "flower.password"

        assert (ran.exit, ran.out) == (0, "here:\nhello\n"), ran
        assert second.exit == 2
        assert re.fullmatch(
            r"error: InvalidSetting: another `cloudassist up` \(pid \d+\) runs on .*\n", second.err
        )
        assert kept.stat().st_mode & 0o777 == 0o600
        assert "local may use this machine" in up.text()
        children = descendants(up.process.pid)
        assert len(children) >= 3
        assert not any(password[1] in _arguments(pid) for pid in children)

    assert up.process.returncode == 0
    assert "nothing is left running" in up.text()
    eventually(lambda: cloudassist.processes() == set(), within=10)


def _status(url: str, login: str = "") -> int:
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):  # its port may be another's until it is there
        return 0


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_killed_worker_and_a_killed_store_are_started_again(cloudassist: Installation) -> None:
    with cloudassist.up("--no-flower") as up:
        (worker,) = [pid for pid in descendants(up.process.pid) if "workers.app" in _arguments(pid)]
        (store,) = _stores(cloudassist)

        os.kill(worker, signal.SIGKILL)
        os.kill(store, signal.SIGKILL)

        eventually(lambda: "worker was ended by SIGKILL" in up.text(), within=20)
        eventually(
            lambda: _stores(cloudassist) - {store}, within=20
        )  # by `up`, or by a child that came first
        done = cloudassist("run", "echo again", "-i", "here", within=90)
        assert (done.exit, done.out) == (0, "here:\nagain\n"), (done, up.logs())

    eventually(lambda: cloudassist.processes() == set(), within=10)


def test_a_store_whose_disk_is_full_is_started_again_once_there_is_room_and_nothing_else_ends() -> None:
    """The store ends by itself when it cannot write. All of the data directory is on that disk."""
    with installation(here=True) as home, mounted(home.data_dir, "size=16m"):
        home("instance", "add", "here", "--local")
        with home.up("--no-flower") as up:
            before = _children(up.process.pid)
            filler = filled(home.data_dir)
            eventually(lambda: "No space left on device; put that right" in up.text(), within=120)
            without_room = home("run", "true", "-i", "here")
            filler.unlink()
            eventually(lambda: "was started again" in up.text(), within=60)

            done = home("run", "echo again", "-i", "here", within=90)

            assert (done.exit, done.out) == (0, "here:\nagain\n"), (done, up.logs())
            assert _children(up.process.pid) == before
            assert up.text().count("put that right") == 1, up.text()
        assert without_room.exit == 2
        assert "No space left on device" in without_room.err
        assert up.process.returncode == 0
        eventually(lambda: home.processes() == set(), within=10)


def test_a_note_for_which_there_is_no_room_ends_nothing() -> None:
    with io.TextIOWrapper(io.FileIO("/dev/full", "w")) as full, redirect_stderr(full):
        with pytest.raises(OSError, match="No space"):
            note("not to be read")
        told("nor this")


def _children(parent: int) -> set[int]:
    """Of `up`: worker, beat, endpoint."""
    names = ("workers.app", "beat.app", "serve")
    return {pid for pid in descendants(parent) if any(name in _arguments(pid) for name in names)}


def test_children_do_not_outlive_an_up_that_is_killed_and_the_next_one_goes_on(
    cloudassist: Installation, tmp_path: Path
) -> None:
    may_end = tmp_path / "may end"
    script = f"until [ -e '{may_end}' ]; do sleep 0.1; done; echo survived"
    with cloudassist.up("--no-flower") as up:
        invoke_id = cloudassist("run", script, "-i", "here", "--timeout", "600", "--detach").out.strip()
        eventually(lambda: "1 Running" in cloudassist("invocation", "show", invoke_id).out, within=20)
        up.process.kill()
        up.process.wait()
        eventually(lambda: not _of_celery(cloudassist), within=60)
    may_end.touch()

    with cloudassist.up("--no-flower"):
        done = cloudassist("invocation", "wait", invoke_id, "--json", within=90)
        assert [one["output"] for one in done.json["instances"]] == ["survived\n"]

    eventually(lambda: cloudassist.processes() == set(), within=10)


def _stores(home: Installation) -> set[int]:
    return {pid for pid in home.processes() if "valkey-server" in _arguments(pid)}


def _of_celery(home: Installation) -> list[int]:
    return [pid for pid in home.processes() if "celery" in _arguments(pid)]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_the_stock_pools_carry_runs_too(cloudassist: Installation, pool: str) -> None:
    with cloudassist.up("--no-flower", "--pool", pool, "--concurrency", "2"):
        done = cloudassist("run", "echo hello", "-i", "here")

        assert (done.exit, done.out) == (0, "here:\nhello\n"), done

    eventually(lambda: cloudassist.processes() == set(), within=10)


# -- not up


def test_a_run_says_that_no_worker_is_up_and_can_be_stopped(cloudassist: Installation) -> None:
    command = cloudassist.start("run", "true", "-i", "here", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stderr is not None
    told = [command.stderr.readline()]
    while "no worker" not in told[-1]:
        told.append(command.stderr.readline())
        assert len(told) < 5, told

    command.send_signal(signal.SIGINT)

    out, err = command.communicate(timeout=60)
    assert "on 1 instance" in told[0]
    assert told[-1].startswith("no worker is up: nothing runs yet; start one with `cloudassist up`")
    assert command.returncode == 130, err
    assert out == "here: Cancelled\n"


def test_doctor_says_that_no_worker_is_up_and_what_to_do(cloudassist: Installation) -> None:
    done = cloudassist("doctor")

    assert done.exit == 1
    assert re.search(r"FAULT +workers +none is up\n +→ start one: `cloudassist up`", done.out)
    assert done.out.endswith("a run would not work\n")


def test_local_instances_are_refused_where_local_is_off(cloudassist: Installation) -> None:
    with cloudassist.up("--no-flower", "--no-local"):
        done = cloudassist("run", "true", "-i", "here", "--json")

    assert (done.exit, done.json["counts"]) == (1, {"Aborted": 1})
    assert "CLOUDASSIST_ALLOW_LOCAL" in done.json["instances"][0]["error_info"]


@pytest.mark.parametrize(
    ("variable", "arguments"),
    [
        ("CLOUDASSIST_REDIS_URL", ("instance", "ls")),
        ("CLOUDASSIST_BROKER_URL", ("doctor",)),
    ],
)
def test_a_store_or_broker_that_is_away_is_one_line_and_never_its_password(
    cloudassist: Installation, variable: str, arguments: tuple[str, ...]
) -> None:
    address = f"127.0.0.1:{own_port(cloudassist)}"
    url = f"redis://:s3cret@{address}/0"

    done = cloudassist(*arguments, environment={variable: url})

    assert done.exit in (1, 2)
    assert address in done.out + done.err
    assert "s3cret" not in done.out + done.err
    assert "Traceback" not in done.err


def test_a_bad_setting_is_named(cloudassist: Installation) -> None:
    done = cloudassist("instance", "ls", environment={"CLOUDASSIST_LEASE_S": "soon"})

    assert done.exit == 2
    assert done.err.startswith("error: InvalidSetting: CLOUDASSIST_LEASE_S is 'soon'; ")


def test_a_reader_that_goes_away_is_no_fault(cloudassist: Installation) -> None:
    command = cloudassist.start("instance", "ls", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout is not None
    command.stdout.close()

    assert command.stderr is not None
    assert command.stderr.read() == ""
    command.wait(120)


@pytest.mark.parametrize(
    ("arguments", "code", "beginning"),
    [
        (("--version",), 0, "cloudassist "),
        (("--help",), 0, "Usage: cloudassist [OPTIONS] COMMAND"),
        (("run", "--help"), 0, "Usage: cloudassist run [OPTIONS]"),
    ],
)
def test_help_and_version_need_no_installation(
    cloudassist: Installation, arguments: tuple[str, ...], code: int, beginning: str
) -> None:
    done = cloudassist(*arguments, environment={"CLOUDASSIST_DATA_DIR": "/proc/no/such"})

    assert (done.exit, done.err) == (code, "")
    assert done.out.startswith(beginning)
