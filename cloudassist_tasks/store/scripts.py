"""The Lua scripts: each one step of the store, in a file of its own under `lua/`.

A file begins with `#!lua` and its flags, then its signature and key table. A line `-- uses: name` puts
the functions of `lua/pieces/name.lua` in front of the body, so that a rule (how a run leaves the tally,
how a slot is freed) is written once; a piece may use others. A process calls its own file by its hash, so
during a rollout old and new scripts run side by side, and a script may change as it likes. What must stay
readable, for both, are the shapes that scripts leave in the store.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "lua"
_USES = re.compile(r"^-- uses: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    text: bytes
    sha: str
    """What EVALSHA calls it."""


@cache
def script(name: str) -> Script:
    """The script of that name, with its pieces in it."""
    source = (_FOLDER / f"{name}.lua").read_text("utf-8")
    shebang, _, body = source.partition("\n")
    text = "\n".join([shebang, *_pieces(source).values(), body]).encode()
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


def _pieces(source: str) -> dict[str, str]:
    """By name, each once and behind those that it uses."""
    found: dict[str, str] = {}
    for line in _USES.findall(source):
        for name in line.split():
            piece = (_FOLDER / "pieces" / f"{name}.lua").read_text("utf-8")
            found = {**found, **_pieces(piece), name: piece}
    return found
