"""Locks on files: the kernel frees them when their holder is gone, however it went."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudassist_tasks.domain.errors import Broken

POLL_S = 0.02


def open_lock(path: Path) -> int:
    """A descriptor of the file, made if need be, readable by its owner alone; not inherited by programs."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_exclusive(descriptor: int) -> bool:
    """True: nobody else holds the lock, and now we do alone."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def share(descriptor: int) -> None:
    """Hold the lock together with others. Only under another lock that keeps exclusive holders away."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    descriptor = open_lock(path)
    try:
        return try_exclusive(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, within_s: float) -> Iterator[None]:
    """Alone. `Broken` if somebody else keeps it for so long."""
    descriptor = open_lock(path)
    try:
        deadline_s = time.monotonic() + within_s
        while not try_exclusive(descriptor):
            if time.monotonic() > deadline_s:
                raise Broken(f"another process has held {path} for {within_s:g} s; see what it does, end it")
            time.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)
