"""`cloudassist instance start|stop|reboot` and `run --dry-run`, against a whole installation.

The power commands of these tests only write down that they were run.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Installation, installation
from tests.support.eventually import eventually
from tests.support.sshd import private_sshd

pytestmark = pytest.mark.xdist_group("cli switching")  # one installation for all of them


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the power commands write."""
    return tmp_path_factory.mktemp("notes") / "notes"


@pytest.fixture(scope="module")
def cloudassist(notes: Path) -> Iterator[Installation]:
    """An installation that is up; i-1 can be switched, i-2 cannot."""
    note = f'echo "$CLOUDASSIST_POWER_ACTION $CLOUDASSIST_POWER_FORCE" >> {notes}'
    with private_sshd() as sshd, installation(here=True) as home:
        home.add(
            sshd, "i-1", "127.0.1.1", "--power-start", note, "--power-stop", note, "--power-reboot", note
        )
        home.add(sshd, "i-2", "127.0.1.2")
        with home.up("--no-flower") as up:
            yield home
            print(up.logs())


def status(home: Installation) -> str:
    """Of i-1, once its last action has ended; empty until then."""
    shown = home("instance", "show", "i-1", "--json").json
    return str(shown["status"]) if shown["power"]["end_time"] else ""


def test_an_instance_is_stopped_and_started(cloudassist: Installation, notes: Path) -> None:
    stopped = cloudassist("instance", "stop", "i-1", "--force")
    eventually(lambda: status(cloudassist) == "Stopped", within=20)
    run = cloudassist("run", "true", "-i", "i-1")
    started = cloudassist("instance", "start", "i-1")
    eventually(lambda: status(cloudassist) == "Running", within=20)

    assert (stopped.exit, started.exit) == (0, 0)
    assert "i-1: stop asked for" in stopped.err
    assert "InstanceNotRunning" in run.out
    assert notes.read_text().splitlines() == ["stop 1", "start 0"]
    assert "last start, ended" in cloudassist("instance", "show", "i-1").out


def test_what_cannot_be_switched_is_refused_in_one_line(cloudassist: Installation) -> None:
    refused = cloudassist("instance", "reboot", "i-2")

    assert refused.exit == 2
    assert (
        refused.err
        == "error: OperationDenied: i-2 has no reboot command; register it again with --power-reboot\n"
    )


def test_a_dry_run_looks_and_runs_nothing(cloudassist: Installation, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    fine = cloudassist("run", f"touch {mark}", "-i", "i-2", "--dry-run")
    no_user = cloudassist("run", f"touch {mark}", "-i", "i-2", "--dry-run", "--user", "nobody-of-that-name")

    assert fine.exit == 0, fine
    assert no_user.exit == 1
    assert "AccountNotExists" in no_user.out
    assert not mark.exists()
