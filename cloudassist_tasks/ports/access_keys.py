"""Access keys, as operations see them."""

from collections.abc import Sequence
from typing import Protocol

from cloudassist_tasks.domain.access_key import AccessKey, AccessKeyId


class AccessKeys(Protocol):
    """Every method is one atomic step. `Refused(ACCESS_KEY_NOT_FOUND)` where a key must exist."""

    async def add(self, key: AccessKey) -> None: ...

    async def get(self, key_id: AccessKeyId) -> AccessKey | None: ...

    async def all(self) -> Sequence[AccessKey]:
        """Newest first. Read in chunks."""

    async def set_disabled(self, key_id: AccessKeyId, disabled: bool) -> None: ...

    async def rotate(self, key_id: AccessKeyId, sealed: bytes, *, earlier_until_ms: int, now_ms: int) -> None:
        """A new secret; the one before it serves until then."""

    async def reseal(self, key: AccessKey, *, sealed: bytes, earlier: bytes) -> bool:
        """The same secrets under another master key. False, and nothing done, if they changed meanwhile."""

    async def used(self, key_id: AccessKeyId, *, now_ms: int) -> None:
        """It signed a call. Nothing is done for a key that is gone."""

    async def remove(self, key_id: AccessKeyId) -> None: ...
