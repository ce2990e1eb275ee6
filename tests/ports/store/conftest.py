import signal
import socket
from collections.abc import Iterator

import pytest

from tests.support.store import store, store_server
from tests.support.valkey import ValkeyServer, private_valkey

__all__ = ["own_server", "store", "store_server", "unused_port"]


@pytest.fixture
def unused_port() -> Iterator[int]:
    """Of the loopback address. It stays taken, so that only a server that is told to listens on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        yield int(probe.getsockname()[1])


@pytest.fixture
def own_server() -> Iterator[ValkeyServer]:
    """A server that the test may break."""
    with private_valkey() as server:
        yield server
        if server.process is not None:
            server.process.send_signal(signal.SIGCONT)
