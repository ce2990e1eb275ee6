"""A command whose module is imported when it is asked for.

Each start of `cloudassist` would otherwise pay for all commands, to run one. Name and help stand where the
command is listed, so that the help of the whole, completion and the search for a misspelt name load none.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_group

__all__ = ["STYLE", "Deferred"]

STYLE: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None}
"""How every `Typer` of this command line shows its help and its errors."""


class Deferred(TyperCommand):
    """Stands for a command, or for a group of them, of the same name."""

    def __init__(
        self, name: str, place: str, purpose: str, *, settings: dict[str, Any] | None = None
    ) -> None:
        """`place`: `module:attribute` in this package, a function or a `Typer`. `purpose`: the first sentence
        of its help. `settings`: the command's context settings."""
        super().__init__(name, help=purpose)
        self._named = name
        self._place = place
        self._settings = settings

    def loaded(self) -> Any:
        """The command itself."""
        module, _, attribute = self._place.partition(":")
        found = getattr(import_module(f"{__package__}.{module}"), attribute)
        around = typer.Typer(**STYLE)
        if isinstance(found, typer.Typer):
            around.add_typer(found, name=self._named)
        else:
            around.command(self._named, context_settings=self._settings)(found)
        around.callback()(_nothing)  # else a single command would not be a member of a group
        return get_group(around).commands[self._named]

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Whoever runs or completes a command begins here, and goes on with the context's command."""
        return self.loaded().make_context(info_name, args, parent, **extra)


def _nothing() -> None:
    """The group around one command does nothing itself."""
