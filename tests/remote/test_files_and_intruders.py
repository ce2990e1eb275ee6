"""A file is placed while somebody who owns the directory puts links where the program is about to write."""

import os
from pathlib import Path

import pytest

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import RunStatus
from tests.support.placing import SUCCESS, Machine, end, file, hooked


@pytest.fixture
def target(tmp_path: Path) -> Path:
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


def test_whoever_owns_the_directory_cannot_swap_the_private_one(target: Path, tmp_path: Path) -> None:
    """It is made, and at once replaced by a link to a directory of somebody else."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "content").write_text("theirs")
    swap = f'"$real" "$@" || exit; case $3 in ./.ca-*) mv "$3" "$3.away"; ln -s {victim} "$3";; esac'
    machine = Machine(["dash"], hooked(tmp_path / "hooks", {"mkdir": swap}))

    outcome = machine.place(file(target, overwrite=True), tmp_path)

    assert end(outcome) == (RunStatus.FAILED, ErrorCode.FILE_CREATE_FAIL)
    assert "somebody changes" in outcome.error_info
    assert os.listdir(victim) == ["content"]
    assert (victim / "content").read_text() == "theirs"
    assert not (target / "f").exists()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_private_directory_that_is_moved_away_later_changes_nothing(
    target: Path, tmp_path: Path, overwrite: bool
) -> None:
    """Every later step is relative to where the program is, whatever the name leads to by then."""
    victim = tmp_path / "victim"
    victim.mkdir()
    swap = f'"$real" "$@"; cd .. && for it in .ca-*; do mv "$it" away; ln -s {victim} "$it"; done'
    machine = Machine(["dash"], hooked(tmp_path / "hooks", {"chmod": swap}))

    outcome = machine.place(file(target, overwrite=overwrite), tmp_path)

    assert end(outcome) == SUCCESS, outcome
    assert os.listdir(victim) == []
    assert (target / "f").read_bytes() == b"text\n"


def test_a_link_that_appears_at_the_last_moment_is_not_followed(target: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    appear = f'[ -e ../f ] || ln -s {victim} ../f; exec "$real" "$@"'
    for tool, overwrite in (("ln", False), ("mv", True)):
        real_ln = {"ln": appear.replace("ln -s", "/bin/ln -s")} if tool == "ln" else {"mv": appear}
        machine = Machine(["dash"], hooked(tmp_path / f"hooks-{tool}", real_ln))

        outcome = machine.place(file(target, overwrite=overwrite), tmp_path)

        expected = SUCCESS if overwrite else (RunStatus.INVALID, ErrorCode.FILE_ALREADY_EXISTS)
        assert expected == end(outcome), outcome
        assert os.listdir(victim) == []
