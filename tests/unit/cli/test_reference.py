"""docs/cli.md names every command and option there is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cloudassist_tasks.cli.app import app

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()

EVERYWHERE = {"--help", "--version", "--install-completion", "--show-completion"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
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
