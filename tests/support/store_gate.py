"""A door between a process and the store that stops at one step: what is killed there died at that very step.

The process is given the gate's URL in place of the server's. Everything passes but what runs the script that
the gate waits for: `hold_before` keeps the command from the server, `hold_after` lets the server carry it out
and keeps the answer from the process; `cut` drops it with the connection. `behind` names a script that must
have passed before.
"""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cloudassist_tasks.store.scripts import script
from tests.support.eventually import eventually
from tests.support.valkey import ValkeyServer

__all__ = ["StoreGate", "store_gate"]

CHUNK = 1 << 20


class StoreGate:
    """One gate in front of one server. Each connection has a thread for each direction."""

    def __init__(self, server: ValkeyServer, path: Path) -> None:
        self._server = server
        self._path = path
        self._lock = threading.Lock()
        self._sha = self._behind = b""
        self._after = self._cut = False
        self._reached = threading.Event()
        self._open = threading.Event()

    def url(self, db: int = 0) -> str:
        """What the process takes for the store's."""
        return f"unix://{self._path}?db={db}"

    def hold_before(self, name: str, *, behind: str = "") -> None:
        """Keep commands that run this script from the server."""
        self._arm(name, behind, after=False)

    def hold_after(self, name: str, *, behind: str = "") -> None:
        """Keep the answers to commands that run this script from whoever asked."""
        self._arm(name, behind, after=True)

    def reached(self, within: float = 60) -> None:
        """Wait until somebody is held."""
        eventually(self._reached.is_set, within=within)

    def open(self) -> None:
        """Whoever is held goes on, if it still lives; what a dead process has sent is dropped."""
        with self._lock:
            self._sha = b""
        self._open.set()

    def cut(self) -> None:
        """Whoever is held loses its connection, and what was kept from it."""
        self._cut = True
        self.open()

    def _arm(self, name: str, behind: str, *, after: bool) -> None:
        sha = self._known(name)
        with self._lock:
            self._reached.clear()
            self._open.clear()
            self._cut = False
            self._behind = self._known(behind) if behind else b""
            self._sha, self._after = sha, after

    def _known(self, name: str) -> bytes:
        """What calls the script; a server that does not know it yet would only say so."""
        lua = script(name)
        client = self._server.client()
        client.script_load(lua.text.decode())
        client.close()
        return lua.sha.encode()

    # -- in the threads of a connection

    def serve(self, client: socket.socket) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(str(self._server.socket))
            except OSError:
                return  # as if nobody listened
            held = threading.Event()
            answers = threading.Thread(target=self._pass_answers, args=(server, client, held), daemon=True)
            answers.start()
            self._pass_commands(client, server, held)
            answers.join()

    def _pass_commands(self, client: socket.socket, server: socket.socket, held: threading.Event) -> None:
        seen = b""
        with suppress(OSError):
            while data := client.recv(CHUNK):
                seen = seen[-39:] + data  # a name of 40 bytes may come in two pieces
                if self._is_awaited(seen):
                    if self._after:
                        held.set()
                    elif not self._let_go(client):
                        break
                server.sendall(data)
        _hang_up(server)

    def _pass_answers(self, server: socket.socket, client: socket.socket, held: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(CHUNK):
                if held.is_set():
                    held.clear()
                    if not self._let_go(client):
                        break
                client.sendall(data)
        _hang_up(client)

    def _is_awaited(self, seen: bytes) -> bool:
        with self._lock:
            if self._behind and self._behind in seen:
                self._behind = b""
            return bool(self._sha) and not self._behind and self._sha in seen

    def _let_go(self, client: socket.socket) -> bool:
        """Wait to be opened; whether the process still lives, and its connection."""
        self._reached.set()
        self._open.wait()
        if self._cut:
            return False
        with suppress(BlockingIOError):
            return bool(client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return True


@contextmanager
def store_gate(server: ValkeyServer, directory: Path) -> Iterator[StoreGate]:
    """A gate that listens in `directory`; at the end whoever is held goes on."""
    path = directory / f"gate-{len(list(directory.glob('gate-*')))}.sock"
    gate = StoreGate(server, path)

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            gate.serve(self.request)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        block_on_close = False

    listening: Any = Server(str(path), Connection)
    accepting = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    accepting.start()
    try:
        yield gate
    finally:
        gate.open()
        listening.shutdown()
        listening.server_close()


def _hang_up(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
