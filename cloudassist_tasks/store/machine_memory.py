"""How much memory this process may use: what the machine has, or less where a control group says so."""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def memory_of_machine(root: Path = ROOT) -> int:
    """Bytes. The smallest of all limits on the way up counts; a container sees only its own, at the top."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([whole, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Of the control groups that we are in, and those around them."""
    for file in _files(root):
        try:
            yield int(file.read_text())
        except (OSError, ValueError):  # not seen in here; `max`
            pass


def _files(root: Path) -> Iterator[Path]:
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for group in groups:
        _, controllers, place = group.split(":", 2)
        if not controllers:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        at = Path(place.lstrip("/"))
        for part in (at, *at.parents):
            yield top / part / name
