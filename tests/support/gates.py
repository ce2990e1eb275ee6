"""Scripts that go on until the test lets them end, so that no test races against one."""

from pathlib import Path

from tests.support.plane import Installation

__all__ = ["WHOLE", "gated", "until"]

WHOLE = b"begun\nend\n"
"""What a gated script has printed in the end."""


def until(gate: Path | str) -> str:
    """The part of a script that waits for the file."""
    return f"while [ ! -e {gate} ]; do sleep 0.1; done"


def gated(home: Installation, name: str) -> tuple[str, Path]:
    """A marking script that prints, waits for the gate to be touched, and prints again; and that gate."""
    gate = home.directory / f"gate-{name}"
    return home.marking(f"echo begun; {until(gate)}; echo end"), gate
