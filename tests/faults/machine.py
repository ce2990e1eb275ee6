"""A host whose disks fail: its sshd, and all that it starts, see mounts that nobody else sees.

They are gone with the last process in there; the machine of the tests is never changed.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.sshd import Sshd, private_sshd

__all__ = ["Machine", "filled", "private_machine"]


class Machine:
    """One host in a mount namespace of its own."""

    def __init__(self, sshd: Sshd) -> None:
        self.sshd = sshd

    def run(self, *words: str) -> None:
        """Run a command as its administrator would."""
        inside = ["nsenter", f"--mount=/proc/{self._pid}/ns/mnt", *words]
        subprocess.run(inside, check=True, capture_output=True)

    def disk(self, name: str, options: str) -> Path:
        """A small disk of its own, as a tmpfs with these options; where it is, in there."""
        place = self.sshd.directory / name
        place.mkdir()
        self.run("mount", "-t", "tmpfs", "-o", f"mode=755,{options}", "none", str(place))
        return place

    def fill(self, disk: Path) -> Path:
        """Leave no byte free; what takes the room."""
        return filled(self.seen(disk))

    def seen(self, path: Path) -> Path:
        """A path in there, for who is out here."""
        return Path(f"/proc/{self._pid}/root{path}")

    def without_bash(self) -> None:
        """Take bash away; root's login shell is then /bin/sh."""
        disk = self.disk("without-bash", "size=1m")
        self._overlay("/usr/bin", disk / "bin")
        self.run("rm", "/usr/bin/bash")
        users = Path("/etc/passwd").read_text().replace("/bin/bash", "/bin/sh")
        self._overlay("/etc", disk / "etc")  # not the file: a useradd out here would take its mount away
        self.seen(Path("/etc/passwd")).write_text(users)

    def _overlay(self, place: str, layer: Path) -> None:
        """Changes below `place` go to a layer of its own."""
        self.run("mkdir", str(layer), f"{layer}-work")
        layers = f"lowerdir={place},upperdir={layer},workdir={layer}-work"
        self.run("mount", "-t", "overlay", "-o", layers, "none", place)

    @property
    def _pid(self) -> int:
        assert self.sshd.process is not None
        return self.sshd.process.pid


def filled(disk: Path) -> Path:
    """Leave no byte free on it; what takes the room."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))
    except OSError:
        return filler


@contextmanager
def private_machine() -> Iterator[Machine]:
    """A host with disks of its own, gone at the end."""
    with private_sshd(within=["unshare", "--mount", "--propagation", "private"]) as sshd:
        yield Machine(sshd)
