"""The text of the helper that runs on hosts, and how it gets there.

Read by the transports when they prepare a host. The helper's file name carries a
digest of its text, so a running supervisor never sees its file change, and a host
that has this version is recognised by the path alone.
"""

import hashlib
import re
import shlex
from importlib import resources
from typing import Final

_TEXTS: Final = resources.files(__package__)
_COMMENT: Final = re.compile(r"(^|  +|(?<=\{) )# .*$|^#+$")


def _without_comments(text: str) -> bytes:
    """The same program without its comments and indentation.

    Two shells read and parse it at every launch.
    In the text a comment stands alone on its line, or after two blanks (one after a brace), and
    nothing else looks like one.
    """
    lines = (_COMMENT.sub("", line.strip()) for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line).encode()


HELPER: Final[bytes] = _without_comments(_TEXTS.joinpath("helper.sh").read_text())
"""The helper, as it lies on a host."""

INSTALLER: Final[bytes] = _TEXTS.joinpath("installer.sh").read_bytes()
"""What puts it there; see `install_command`."""

VERSION: Final[str] = hashlib.sha256(HELPER).hexdigest()[:8]
"""The first 8 hex digits of the helper's SHA-256."""

FILE_NAME: Final[str] = f"ca-{VERSION}.sh"
"""The helper's name below `BASE/bin`."""


def install_command(nonce: str, *, base: str | None = None, shell: str | None = None) -> str:
    """The command line that installs the helper from `install_input()` and answers one line (PROTOCOL.md).

    `base`: this directory and no other (default: the host chooses). `shell`: the command that will run
    the helper, blank included (`/usr/bin/busybox sh`; default: the host's best).
    One line without `!`, backslash or line break, meant for csh and fish too (tried with dash, bash and
    busybox): the installer itself comes on stdin.
    """
    bootstrap = f'eval "$(dd bs=1 count={len(INSTALLER)} 2>/dev/null)"'
    arguments = [nonce, str(len(HELPER)), VERSION, base or "", shell or ""]
    return shlex.join(["/bin/sh", "-c", bootstrap, "ca", *arguments])


def install_input() -> bytes:
    """What the install command reads: the installer, then the helper."""
    return INSTALLER + HELPER
