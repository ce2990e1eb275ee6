"""Secrets at rest: sealed under a master key that lives outside the store."""

from typing import Protocol

from cloudassist_tasks.domain.secret import Secret


class Vault(Protocol):
    """Every method raises `Broken`, saying what to do, when the master key cannot be read or is too weak."""

    def seal(self, secret: Secret[str], *, of: str) -> bytes:
        """Sealed for one owner: it cannot be opened as another's. Makes the master key at the first use."""

    def unseal(self, sealed: bytes, *, of: str) -> Secret[str]:
        """`Broken` also when it was sealed under a master key that is not ours, or for another owner."""

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed under the newest master key; if not, seal it anew before that one goes."""
