"""docs/cli.md names every command and option there is; help and completion know them, unloaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cloudassist_tasks.cli.app import COMMANDS, app, run_command
from cloudassist_tasks.cli.deferred import Deferred

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()

EVERYWHERE = {"--help", "--version", "--install-completion", "--show-completion"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, found in group.commands.items():
        command = found.loaded() if isinstance(found, Deferred) else found
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


@pytest.mark.parametrize(("name", "command"), list(commands(typer.main.get_command(app))))
def test_the_reference_names_the_command_and_its_options(name: str, command: Any) -> None:
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}

    missing = {option for option in options - EVERYWHERE if option not in DOCUMENT}

    assert f"{name.split()[-1]}" in DOCUMENT
    assert missing == set()


@pytest.mark.parametrize("deferred", COMMANDS, ids=lambda one: one.name)
def test_what_stands_for_a_command_says_what_the_command_says(deferred: Deferred) -> None:
    said = " ".join(deferred.loaded().help.split("\n\n")[0].split())

    assert deferred.help
    assert said.startswith(deferred.help)
    assert said.removeprefix(deferred.help)[:1] in ("", " ")


def test_the_help_of_the_whole_has_a_line_for_each_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0

    lines = capfd.readouterr().out.splitlines()
    assert [one.name for one in COMMANDS] == [
        line.split()[0] for line in lines[lines.index("Commands:") + 1 :]
    ]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", {str(one.name) for one in COMMANDS}),
        ("in", {"invocation", "instance"}),
        ("invocation w", {"wait"}),
        ("schedule next --z", {"--zone"}),
    ],
)
def test_the_shell_completes_commands_and_their_options(
    typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_CLOUDASSIST_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"cloudassist {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" "))))

    with pytest.raises(SystemExit):
        run_command([])

    assert set(capfd.readouterr().out.split()) == offered
