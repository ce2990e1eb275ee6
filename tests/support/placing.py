"""The program that places a file, carried out on this machine by a shell and tools of the test's choice."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.file import FileSpec, outcome_of_sending
from cloudassist_tasks.domain.outcome import HostWord, Outcome, outcome_of
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.file_program import file_program

__all__ = ["SUCCESS", "Machine", "busybox_only", "end", "file", "hooked", "left_behind", "memory_disk"]

SUCCESS = (RunStatus.SUCCESS, ErrorCode.NONE)

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def file(directory: Path, content: bytes = b"text\n", **fields: Any) -> FileSpec:
    """A file `f` for a directory."""
    spec: dict[str, Any] = {"name": "f", "target_dir": str(directory), **fields}
    return FileSpec(content=Secret(content), **spec)


def end(outcome: Outcome) -> tuple[RunStatus, ErrorCode]:
    """What a test compares."""
    return outcome.status, outcome.error_code


@dataclass(frozen=True, slots=True)
class Machine:
    """A shell, the tools that it finds, and who it is."""

    shell: Sequence[str]
    """In /bin, with its first arguments."""
    path: str = STANDARD_PATH
    prefix: Sequence[str] = ()
    """Changes the user."""

    def place(self, spec: FileSpec, directory: Path, **environment: str) -> Outcome:
        """Carry out the program from a file in `directory`; what it means."""
        program = directory / "program"
        program.write_bytes(file_program(spec))
        program.chmod(0o644)
        done = subprocess.run(
            [*self.prefix, f"/bin/{self.shell[0]}", *self.shell[1:], str(program)],
            env={"PATH": self.path, "HOME": "/", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            timeout=60,
            check=False,
        )
        said = done.stdout.decode(errors="replace")
        outcome = outcome_of_sending(outcome_of(HostWord.EXITED, exit_code=done.returncode), said)
        place = Path(spec.target_dir) / spec.name
        assert outcome.error_info or said == f"{place}: {len(spec.content.reveal())} bytes\n", said
        return outcome


def busybox_only(directory: Path, *without: str) -> str:
    """A PATH on which every tool is busybox; some may be missing."""
    busybox = shutil.which("busybox")
    assert busybox, "these tests need busybox"
    listed = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    directory.mkdir()
    for tool in set(listed) - set(without):
        (directory / tool).symlink_to(busybox)
    return str(directory)


def hooked(directory: Path, scripts: Mapping[str, str]) -> str:
    """A PATH on which some tools are scripts; `$real` is the tool that they stand for."""
    directory.mkdir()
    for tool, script in scripts.items():
        found = shutil.which(tool, path=STANDARD_PATH)
        hook = directory / tool
        hook.write_text(f"#!/bin/sh\nreal={found}\n{script}\n")
        hook.chmod(0o755)
    return f"{directory}:{STANDARD_PATH}"


def left_behind(directory: Path) -> list[str]:
    """What a program did not clear away."""
    return [one.name for one in directory.iterdir() if one.name.startswith(".ca-")]


@contextmanager
def memory_disk(directory: Path, *, kib: int) -> Iterator[Path]:
    """A small file system of its own. Needs root."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=755", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)
