import socket

import pytest

from tests.support.store import store, store_server

__all__ = ["store", "store_server", "unused_port"]


@pytest.fixture
def unused_port() -> int:
    """Of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
