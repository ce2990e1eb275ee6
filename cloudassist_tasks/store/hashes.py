"""What the server keeps, as it is read and written: hashes of bytes, and JSON documents in them.

A document that a newer release wrote may hold fields that this one does not know: they are ignored. A
missing one takes its default. Scripts and output are raw bytes and never pass through JSON.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cloudassist_tasks.domain.errors import Unreadable

Hash = Mapping[bytes, bytes]


def hash_of(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """The reply to HGETALL: names and values in turn."""
    each = iter(flat)
    return dict(zip(each, each, strict=True))


def dump(document: Mapping[str, object]) -> bytes:
    """A document, as it is stored."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def load(document: bytes, what: str) -> dict[str, Any]:
    """The inverse of `dump`. `Unreadable`, naming `what` it should be, if it is none."""
    try:
        loaded = json.loads(document.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise Unreadable(f"the store holds {what} that cannot be read; restore it or remove it") from error
    if not isinstance(loaded, dict):
        raise Unreadable(f"the store holds {what} that is not an object; restore it or remove it")
    return loaded


def text_in(hash_: Hash, name: bytes) -> str:
    """A field; empty if it is not there."""
    return hash_.get(name, b"").decode("utf-8", "surrogateescape")


def int_in(hash_: Hash, name: bytes) -> int:
    """A field; 0 if it is not there."""
    return int(hash_.get(name) or 0)
