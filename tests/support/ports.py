"""Ports of this machine for servers of a test."""

import socket
import weakref

__all__ = ["own_port"]


def own_port(owner: object) -> int:
    """A port that nobody else is given while `owner` is there. A socket stays bound to it and never listens;
    whoever sets SO_REUSEADDR, as servers do, listens beside it."""
    place = socket.socket()
    weakref.finalize(owner, place.close)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return int(place.getsockname()[1])
