"""A real receiver of webhooks for a test: an HTTP server on a port that stays its own, up or down.

receiver = Receiver()
with receiver.up():
    ...
assert receiver.ids == ["cb-t-1"]
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.ports import own_port

__all__ = ["Posted", "Receiver"]


@dataclass(frozen=True, slots=True)
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["x-cloudassist-delivery"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Remembers what was posted to it, and answers with `status`."""

    def __init__(self) -> None:
        self.port = own_port(self)
        self.posted: list[Posted] = []
        self.status = 204
        self.location = ""
        self.silent = threading.Event()
        """Set: it takes the request and never answers, until the receiver goes down."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=s3cret"

    @property
    def ids(self) -> list[str]:
        """Of what was posted, in order."""
        return [one.id for one in self.posted]

    @contextmanager
    def up(self) -> Iterator["Receiver"]:
        """It listens until the end of the block."""
        receiver, down = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.posted.append(Posted(self.path, headers, body))
                if receiver.silent.is_set():
                    down.wait(120)
                    return
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("location", receiver.location)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is said on standard error."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # of the standard library's 5 some would be refused
            daemon_threads = True

        server = Server(("127.0.0.1", self.port), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            down.set()
            server.shutdown()
            thread.join()
            server.server_close()
