"""The scripts that are run: each leaves evidence on its host, and is known by how it may end.

A script appends a line when it begins and one when it ends, with its run's id and the machine's uptime, to
the file of its own instance: what happened on the hosts is counted there, whatever the store says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloudassist_tasks.domain.status import RunStatus

__all__ = ["BEGIN", "END", "RECIPES", "Recipe", "script_of"]

BEGIN, END = "b", "e"

S = RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    name: str
    weight: float
    """How often it is chosen, against the others."""
    body: str
    exit_code: int = 0
    timeout_s: int = 30
    end: RunStatus = S.SUCCESS
    """How it ends if nobody stops it and its host is well."""
    output: bytes | None = None
    """All that it prints, if it ends by itself; None: not looked at."""
    stopped: bool = False
    """Made to be stopped: whoever asks for it stops it soon."""

    @property
    def brief(self) -> bool:
        """So short that many may run a few at a time."""
        return not self.stopped and self.end is not RunStatus.TIMEOUT and self.timeout_s <= 30


PREAMBLE = """\
f=${CA_RUN_ID#*.}; f=%s/${f%%.*}
mark() { read -r up _ < /proc/uptime; echo "$CA_RUN_ID $1 $up" >> "$f"; }
mark b
"""
"""Built-ins of the shell only, so that a begun script has left its line."""

RECIPES: Mapping[str, Recipe] = {  # what sleeps, sleeps longer than any storm: what is left of it is found
    recipe.name: recipe
    for recipe in (
        Recipe(name="short", weight=30, body="echo ok", output=b"ok\n"),
        Recipe(name="second", weight=18, body="sleep 1; echo ok", output=b"ok\n"),
        Recipe(
            name="lines",
            weight=14,
            body="for n in 1 2 3 4 5 6; do echo $n; sleep 0.7; done",
            output=b"1\n2\n3\n4\n5\n6\n",
        ),
        Recipe(
            name="long",
            weight=8,
            body="echo begun; for n in 1 2 3 4 5 6; do sleep 4; done; echo done",
            timeout_s=60,
            output=b"begun\ndone\n",
        ),
        Recipe(
            name="fails", weight=8, body="echo no; exit_code=3", exit_code=3, end=S.FAILED, output=b"no\n"
        ),
        Recipe(
            name="prints",
            weight=3,
            body="n=0; while [ $n -lt 3000 ]; do echo 'much that nobody reads, in lines'; n=$((n+1)); done",
        ),
        Recipe(name="late", weight=3, body="echo begun; sleep 86400", timeout_s=10, end=S.TIMEOUT),
        Recipe(
            name="deaf",
            weight=3,
            body="trap '' TERM INT HUP; while :; do sleep 1; done",
            timeout_s=10,
            end=S.TIMEOUT,
        ),
        Recipe(
            name="forks",
            weight=3,
            body="( ( sleep 86400 & ) & ); ( setsid sleep 86400 & wait ) & sleep 86400",
            timeout_s=10,
            end=S.TIMEOUT,
        ),
        Recipe(
            name="daemon",
            weight=2,
            body="( setsid sleep 15 < /dev/null > /dev/null 2>&1 & ); echo ok",
            output=b"ok\n",
        ),
        Recipe(name="stopped", weight=10, body="sleep 86400", timeout_s=60, end=S.TIMEOUT, stopped=True),
        Recipe(
            name="stubborn",
            weight=4,
            body="trap '' TERM; ( sleep 86400 & ) ; while :; do sleep 0.5; done",
            timeout_s=60,
            end=S.TIMEOUT,
            stopped=True,
        ),
    )
}


def script_of(recipe: Recipe, marks: Path) -> str:
    """The whole script; `marks` is the directory of the evidence."""
    return f"{PREAMBLE % marks}exit_code=0\n{recipe.body}\nmark e\nexit $exit_code\n"
