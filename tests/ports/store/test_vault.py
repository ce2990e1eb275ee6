"""The vault: what it seals it alone opens, and it says what is wrong with a master key."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.store.vault import FileVault

NONE = Secret("")
ONE, OTHER = Secret("1" * 32), Secret("2" * 32)
PLAIN = Secret("a secret of forty characters, or thereab")


def test_a_secret_is_opened_for_its_owner_alone(tmp_path: Path) -> None:
    vault = FileVault(tmp_path, NONE)

    sealed = vault.seal(PLAIN, of="CA1")

    assert vault.unseal(sealed, of="CA1") == PLAIN
    assert PLAIN.reveal().encode() not in sealed
    with pytest.raises(Broken, match="altered"):
        vault.unseal(sealed, of="CA2")
    with pytest.raises(Broken, match="altered"):
        vault.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), of="CA1")


def test_the_same_secret_is_never_sealed_the_same(tmp_path: Path) -> None:
    vault = FileVault(tmp_path, ONE)

    assert vault.seal(PLAIN, of="CA1") != vault.seal(PLAIN, of="CA1")


def test_the_master_key_is_made_at_the_first_seal_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "data"
    path = home / "secret.key"

    with pytest.raises(Broken, match="no master key"):
        FileVault(home, NONE).unseal(b"\x01" * 40, of="CA1")
    assert not path.exists()
    FileVault(home, NONE).seal(PLAIN, of="CA1")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path] == list(home.iterdir())
    assert len(path.read_text().strip()) >= 32


def test_a_master_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    FileVault(tmp_path, NONE).seal(PLAIN, of="CA1")
    (tmp_path / "secret.key").chmod(0o640)

    with pytest.raises(Broken, match="can be read by others"):
        FileVault(tmp_path, NONE).seal(PLAIN, of="CA1")


@pytest.mark.parametrize("weak", ["", "\n", "# nothing", "short", "1" * 31])
def test_a_weak_master_key_is_refused(tmp_path: Path, weak: str) -> None:
    path = tmp_path / "secret.key"
    path.touch(mode=0o600)
    path.write_text(weak)

    with pytest.raises(Broken, match="at least 32 characters"):
        FileVault(tmp_path, NONE).seal(PLAIN, of="CA1")


def test_a_weak_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="CLOUDASSIST_SECRET_KEY must hold"):
        FileVault(tmp_path, Secret("hunter2")).seal(PLAIN, of="CA1")


def test_another_master_key_says_so(tmp_path: Path) -> None:
    sealed = FileVault(tmp_path, ONE).seal(PLAIN, of="CA1")

    with pytest.raises(Broken, match="under another master key"):
        FileVault(tmp_path, OTHER).unseal(sealed, of="CA1")


def test_a_new_master_key_in_front_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    sealed = FileVault(tmp_path, ONE).seal(PLAIN, of="CA1")
    both = FileVault(tmp_path, Secret(f"{OTHER.reveal()},{ONE.reveal()}"))

    assert not both.is_current(sealed)
    again = both.seal(both.unseal(sealed, of="CA1"), of="CA1")

    assert both.is_current(again)
    assert FileVault(tmp_path, OTHER).unseal(again, of="CA1") == PLAIN


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    vault, path = FileVault(tmp_path, NONE), tmp_path / "secret.key"
    sealed = vault.seal(PLAIN, of="CA1")

    path.write_text(f"# new\n{ONE.reveal()}\n{path.read_text()}")

    assert vault.unseal(sealed, of="CA1") == PLAIN
    assert not vault.is_current(sealed)


def _seal(folder: Path, barrier: object, queue: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    queue.put(FileVault(folder, NONE).seal(PLAIN, of="CA1"))  # type: ignore[attr-defined]


def test_processes_that_seal_first_at_the_same_time_share_one_master_key(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, queue = fork.Barrier(4), fork.Queue()
    processes = [fork.Process(target=_seal, args=(tmp_path, barrier, queue)) for _ in range(4)]

    for process in processes:
        process.start()
    sealed = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(20)

    vault = FileVault(tmp_path, NONE)
    assert [vault.unseal(one, of="CA1") for one in sealed] == [PLAIN] * 4
