"""Putting the helper on a host: whole or not at all, where it is safe, whatever the login shell."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cloudassist_tasks.transports.remote.helper_source import (
    FILE_NAME,
    VERSION,
    install_command,
    install_input,
)
from tests.support.remote import NONCE, STANDARD_PATH, Host, install

ENVIRONMENT = {"PATH": STANDARD_PATH, "HOME": "/root"}


def test_prepare_says_what_the_host_is(host: Host) -> None:
    facts = host.facts
    assert (str(host.base), f"{host.base}/bin/{FILE_NAME}", VERSION) == (
        facts["base"],
        facts["path"],
        facts["version"],
    )
    assert tuple(facts[key] for key in ("uid", "user", "os", "sudo", "switch")) == (
        "0",
        "root",
        "Linux",
        "no",
        "setpriv",
    )
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() == facts["boot"]


def test_the_best_shell_is_dash(tmp_path: Path) -> None:
    facts = install(base=tmp_path / "b", shell=None, environment=ENVIRONMENT).facts
    shutil.rmtree(facts["spool"])
    assert facts["shell"] == "/usr/bin/dash"


@pytest.mark.parametrize("missing", [1, 20_000])
def test_an_upload_cut_off_installs_nothing(tmp_path: Path, missing: int) -> None:
    answer = install(
        base=tmp_path / "b", shell=None, environment=ENVIRONMENT, text=install_input()[:-missing]
    )
    assert answer["err"] == "Truncated"
    assert list((tmp_path / "b" / "bin").iterdir()) == []


def test_an_upload_altered_on_its_way_installs_nothing(tmp_path: Path) -> None:
    answer = install(
        base=tmp_path / "b", shell=None, environment=ENVIRONMENT, text=install_input()[:-2] + b"x\n"
    )
    assert answer["err"] == "Truncated"
    assert list((tmp_path / "b" / "bin").iterdir()) == []


@pytest.mark.parametrize("login_shell", ["dash", "bash", "busybox sh"])
def test_the_command_passes_through_this_login_shell(login_shell: str, tmp_path: Path) -> None:
    program, *arguments = login_shell.split()
    command = install_command(NONCE, base=str(tmp_path / "b"))

    done = subprocess.run(
        [program, *arguments, "-c", command], input=install_input(), stdout=subprocess.PIPE, check=True
    )

    facts = dict(pair.split("=", 1) for pair in done.stdout.decode().split()[2:])
    shutil.rmtree(facts["spool"])
    assert facts["version"] == VERSION


def test_the_command_has_nothing_that_a_login_shell_would_read() -> None:
    command = install_command(NONCE, base="/b", shell="/usr/bin/busybox sh")
    assert not set("!\\\n`") & set(command)


def test_a_base_that_others_may_write_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "b"
    place.mkdir()
    place.chmod(0o777)
    assert install(base=place, shell=None, environment=ENVIRONMENT)["err"] == "NoSpaceOrReadOnly"


def test_a_base_of_another_user_or_behind_a_link_is_refused(tmp_path: Path) -> None:
    place, link = tmp_path / "b", tmp_path / "link"
    place.mkdir()
    os.chown(place, 65534, 65534)
    link.symlink_to(tmp_path)
    assert [install(base=base, shell=None, environment=ENVIRONMENT)["err"] for base in (place, link)] == [
        "NoSpaceOrReadOnly"
    ] * 2


def test_a_base_with_blanks_in_its_name_is_refused(tmp_path: Path) -> None:
    assert install(base=tmp_path / "a b", shell=None, environment=ENVIRONMENT)["err"] == "NoSpaceOrReadOnly"


def test_three_versions_stay_and_any_in_use(host: Host) -> None:
    """Fault 44: a version that a live run uses is kept."""
    names = [f"ca-{number:08d}.sh" for number in range(5)]
    for age, name in enumerate(names):
        file = host.base / "bin" / name
        shutil.copy(host.command[-1], file)
        os.utime(file, (time.time() - 1000 * (age + 1),) * 2)
    current, oldest = host.command[-1], host.base / "bin" / names[-1]
    run_id = host.new_id()
    host.command[-1] = str(oldest)
    host.start(run_id, "sleep 60")

    install(base=host.base, shell="dash", environment=ENVIRONMENT)

    assert {Path(current).name, *names[:2], oldest.name} == {
        file.name for file in (host.base / "bin").iterdir()
    }
    assert host.cancel(run_id)["result"] == "canceled"


def test_a_helper_without_its_conf_says_so(host: Host) -> None:
    (host.base / "conf").unlink()
    assert host.status("x")["err"] == "NotPrepared"
