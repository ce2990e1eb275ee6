"""Read an instance's public host key as people have it at hand.

A key line as in `ssh_host_ed25519_key.pub`, a line of known_hosts or of `ssh-keyscan`, or `@file` with
such lines. Kept is `type base64`, without host and comment.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = ["KnownKey", "known_keys", "parse_host_key", "read_host_key"]

PREFERRED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Where a file holds several keys of a host, the first type here is taken."""

NEXT_STEP = "give `ssh-ed25519 AAAA…`, `@file`, or what `ssh-keyscan HOST` prints"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of a known_hosts file."""

    patterns: tuple[str, ...]
    key: str

    def is_of(self, host: str, port: int) -> bool:
        """Whether the line names this host, in clear or hashed."""
        name = host if port == 22 else f"[{host}]:{port}"
        return any(_names(pattern, name) for pattern in self.patterns)


def read_host_key(text: str) -> str:
    """The key that `--host-key` means. `Refused(BAD_INSTANCE)` says what it may be."""
    if not text.startswith("@"):
        return parse_host_key(text)
    path = Path(text[1:]).expanduser()
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(Kind.BAD_INSTANCE, f"cannot read the host key file {path}: {_reason(error)}") from error
    keys = [parse_host_key(line) for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise Refused(Kind.BAD_INSTANCE, f"no host key stands in {path}; {NEXT_STEP}")
    return best_of(keys)


def parse_host_key(line: str) -> str:
    """`type base64` out of a key line with or without hosts before it and a comment behind it."""
    words = line.split()
    if words and words[0].startswith("@"):
        raise Refused(Kind.BAD_INSTANCE, f"{words[0]} lines are no host keys; {NEXT_STEP}")
    for position in (0, 1):
        kind, *rest = words[position:] or [""]
        if rest and _fits(kind, rest[0]):
            return f"{kind} {rest[0]}"
    raise Refused(Kind.BAD_INSTANCE, f"this is no OpenSSH host key; {NEXT_STEP}")


def known_keys(lines: Iterable[str]) -> Iterator[KnownKey]:
    """The usable lines of a known_hosts file; revoked keys and authorities are left out."""
    for line in lines:
        words = line.split()
        if len(words) >= 3 and not words[0].startswith(("#", "@")) and _fits(words[1], words[2]):
            yield KnownKey(tuple(words[0].split(",")), f"{words[1]} {words[2]}")


def best_of(keys: Iterable[str]) -> str:
    """The key of the most preferred type."""
    return min(keys, key=lambda key: _rank(key.split()[0]))


def _rank(kind: str) -> int:
    return PREFERRED.index(kind) if kind in PREFERRED else len(PREFERRED)


def _fits(kind: str, blob: str) -> bool:
    """Whether the Base64 part is a key of that type: it begins with the type's name."""
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return False
    name = kind.encode()
    return len(data) > 4 + len(name) and data[: 4 + len(name)] == len(name).to_bytes(4, "big") + name


def _names(pattern: str, name: str) -> bool:
    if not pattern.startswith("|1|"):
        return pattern == name
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"
