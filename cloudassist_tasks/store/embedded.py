"""The store that comes with the product: a Valkey server of its own, started by its first user.

    with acquire(data_dir) as server:
        …  server.store_url, server.broker_url

Users hold a shared lock on `users.lock`; the last one to release it stops the server. A user that is
killed holds nothing any more, and the next one finds the server that it left running. A server that was
killed is started again, on its append-only file, by the next `acquire` or `revive`: `appendfsync
always` means that nothing acknowledged is missing. Synchronous: it is called before there is a loop.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.store.address import broker_url_beside
from cloudassist_tasks.store.embedded_server import EmbeddedServer
from cloudassist_tasks.store.file_lock import locked, open_lock, share, try_exclusive

__all__ = ["Embedded", "acquire", "broker_url_beside"]

TURN_WITHIN_S = 120.0
"""How long others may take to start or stop the server before we do."""


class Embedded:
    """A running server that we use until `release`."""

    def __init__(self, folder: Path, max_mb: int) -> None:
        self._folder = folder
        self._start_lock = folder / "start.lock"
        self._server = EmbeddedServer(folder, max_mb)
        self._users: int | None = None
        with locked(self._start_lock, within_s=TURN_WITHIN_S):
            users = open_lock(folder / "users.lock")
            try:
                share(users)
                self._start_or_find()
                self.store_url = self._server.store_url
            except BaseException:
                os.close(users)
                raise
            self._users = users
        self.broker_url = broker_url_beside(self.store_url)

    def revive(self) -> bool:
        """Start the server again if it has died. Whether it had. On a socket its address stays the same.
        `Broken` if it cannot be started now: the disk is full, the file is damaged, …"""
        with _used(self._folder), locked(self._start_lock, within_s=TURN_WITHIN_S):
            return self._start_or_find()

    def release(self) -> None:
        """Use it no more; the last user stops it. Idempotent."""
        users, self._users = self._users, None
        if users is None:
            return
        try:
            with locked(self._start_lock, within_s=TURN_WITHIN_S):
                if try_exclusive(users):
                    self._server.stop()
        finally:
            os.close(users)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _start_or_find(self) -> bool:
        """Whether it had to be started."""
        if self._server.is_running() and self._server.answers():  # one that was just killed ends here
            return False
        self._server.start()
        return True


def acquire(data_dir: Path, *, max_mb: int = 0) -> Embedded:
    """The server of this data directory, started if it does not run. Its files are in `store/`, for the
    owner's eyes only. `max_mb`: its memory in MiB, if we start it; 0: half of the machine's. `Broken` if it
    cannot be started."""
    folder = data_dir.absolute() / "store"
    with _used(folder):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        return Embedded(folder, max_mb)


@contextmanager
def _used(folder: Path) -> Iterator[None]:
    """`Broken` where the system does not let us."""
    try:
        yield
    except OSError as error:
        raise Broken(f"the embedded store cannot use {folder}: {error.strerror or error}") from error
