"""Is this the host that was registered? Asked before anything is sent that a stranger must not get.

A registered key must match. Without one, an instance that trusts on first use has the shown key recorded by
whoever reached it; any other is refused. There is no mode that takes every key.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.transports.link import address_of

__all__ = ["HostKeyCheck", "fingerprint"]

SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Key types whose signature algorithms have other names than the key."""

FIRST_USE = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
"""What a host without a registered key may show, best first."""


def fingerprint(blob: bytes) -> str:
    """`SHA256:…` as ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


class HostKeyCheck:
    """The judgement on one connection's host key. `seen` is the key shown, `ssh-ed25519 AAAA…`."""

    def __init__(self, instance: Instance) -> None:
        """Unreachable if the instance cannot be reached safely at all."""
        self._instance = instance
        self._type, self._registered = _parse(instance)
        self.seen: str | None = None
        self.refusal: Unreachable | None = None

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What to ask the server for: the registered type first, so that it shows that key if it has it.

        The others follow: a key of another type is refused by `accepts`, with a better reason.
        """
        wanted = SIGNATURES.get(self._type, (self._type,)) if self._registered is not None else ()
        old = ("ssh-rsa",) if self._instance.legacy_algorithms else ()
        return tuple(dict.fromkeys((*wanted, *FIRST_USE, *old)))

    def accepts(self, key_type: str, blob: bytes) -> bool:
        """Whether to go on with a server that showed this key (its wire form). `refusal` says why not."""
        self.seen = f"{key_type} {base64.b64encode(blob).decode('ascii')}"
        if self._registered is None or blob == self._registered:
            return True
        self.refusal = _refused(
            f"host key of {address_of(self._instance)} is {fingerprint(blob)}, registered is"
            f" {fingerprint(self._registered)}: if the machine was reinstalled on purpose, register its new"
            " key; else somebody may be in between"
        )
        return False


def _parse(instance: Instance) -> tuple[str, bytes | None]:
    if instance.host_key is None:
        if instance.trust_on_first_use:
            return "", None
        raise _refused(
            f"no host key is registered for {address_of(instance)}; register it (ssh-keyscan shows it,"
            " compare it on the machine), or trust the first one seen (--trust-on-first-use)"
        )
    words = instance.host_key.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
        length = int.from_bytes(blob[:4], "big")
        if blob[4 : 4 + length] != words[0].encode("ascii"):
            raise ValueError("type and key differ")
    except (IndexError, ValueError, binascii.Error) as error:
        raise _refused(
            f"the host key registered for {address_of(instance)} cannot be read; it must look like"
            " `ssh-ed25519 AAAA…` (a line of ssh_host_ed25519_key.pub)"
        ) from error
    return words[0], blob


def _refused(info: str) -> Unreachable:
    return Unreachable(ErrorCode.CLIENT_NOT_ONLINE, info, retry_helps=False)
