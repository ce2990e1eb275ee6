"""Seals secrets with AES-256-GCM under a master key that the store never sees.

The master key is a setting, else the file `secret.key` in the data directory, made at the first seal and
readable by its owner alone. There may be several, one per line (in the setting: between commas): the first
one seals, all of them open. So a master key is replaced by putting a new one in front, sealing everything
anew, and dropping the old one.

What is sealed: a version, the fingerprint of the master key, a nonce, the ciphertext. The owner's name is
authenticated with it, so what was sealed for one cannot be passed off as another's.
"""

import hashlib
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.secret import Secret

LEAST_CHARS = 32
"""Of a master key: it is text with the strength of a random key, not a password."""

_VERSION = b"\x01"
_FINGERPRINT_BYTES, _NONCE_BYTES = 8, 12
_HEAD = len(_VERSION) + _FINGERPRINT_BYTES + _NONCE_BYTES

_WHERE = "CLOUDASSIST_SECRET_KEY, or secret.key in the data directory"


@dataclass(frozen=True, slots=True)
class _Master:
    fingerprint: bytes
    cipher: AESGCM


class FileVault:
    """`ports.vault.Vault`. `given`: the setting; empty: the file."""

    def __init__(self, data_dir: Path, given: Secret[str]) -> None:
        self._path = data_dir / "secret.key"
        self._given = given
        self._known: Sequence[_Master] = ()
        self._stamp: object = None
        """Of the file that was read: a replaced one is read again."""

    def seal(self, secret: Secret[str], *, of: str) -> bytes:
        if not self._given.reveal() and not self._path.exists():
            _make(self._path)
        master, nonce = self._masters()[0], os.urandom(_NONCE_BYTES)
        ciphertext = master.cipher.encrypt(nonce, secret.reveal().encode(), of.encode())
        return _VERSION + master.fingerprint + nonce + ciphertext

    def unseal(self, sealed: bytes, *, of: str) -> Secret[str]:
        fingerprint = _fingerprint_in(sealed)
        for master in self._masters():
            if master.fingerprint == fingerprint:
                try:
                    plain = master.cipher.decrypt(
                        sealed[_HEAD - _NONCE_BYTES : _HEAD], sealed[_HEAD:], of.encode()
                    )
                except InvalidTag as error:
                    raise Broken(
                        f"what the store holds as the secret of {of} was altered; replace it"
                    ) from error
                return Secret(plain.decode())
        raise Broken(
            f"the secret of {of} was sealed under another master key than ours; give that one ({_WHERE})"
        )

    def is_current(self, sealed: bytes) -> bool:
        return _fingerprint_in(sealed) == self._masters()[0].fingerprint

    def _masters(self) -> Sequence[_Master]:
        if self._given.reveal():
            if not self._known:
                self._known = _parsed(self._given.reveal().split(","), "CLOUDASSIST_SECRET_KEY")
            return self._known
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                if found.st_mode & 0o077:
                    raise Broken(f"{self._path} can be read by others; chmod 600 it, and think of new keys")
                self._known = _parsed(self._path.read_text("ascii").splitlines(), str(self._path))
                self._stamp = stamp
        except FileNotFoundError:
            raise Broken(f"there is no master key to open secrets with; give it ({_WHERE})") from None
        except (OSError, UnicodeDecodeError) as error:
            raise Broken(f"cannot read the master key {self._path}: {type(error).__name__}") from error
        return self._known


def _fingerprint_in(sealed: bytes) -> bytes:
    return sealed[len(_VERSION) : len(_VERSION) + _FINGERPRINT_BYTES]


def _parsed(lines: Sequence[str], where: str) -> Sequence[_Master]:
    texts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not texts or any(len(text) < LEAST_CHARS for text in texts):
        raise Broken(
            f"{where} must hold a random master key of at least {LEAST_CHARS} characters;"
            " `openssl rand -base64 32` makes one"
        )
    return [_master(text) for text in texts]


def _master(text: str) -> _Master:
    """A cipher's key by HKDF; the fingerprint by another derivation, so that it tells nothing of the key."""
    key = HKDF(SHA256(), 32, None, b"cloudassist secrets").derive(text.encode())
    named = HKDF(SHA256(), 32, None, b"cloudassist master key's name").derive(text.encode())
    return _Master(hashlib.sha256(named).digest()[:_FINGERPRINT_BYTES], AESGCM(key))


def _make(path: Path) -> None:
    """A new master key, complete or not at all; another process's counts if it was first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Broken(f"cannot make the master key {path}: {error.strerror}; see {path.parent}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
