"""Nonces of signed requests: one key each, which the server forgets in time."""

import hashlib
import secrets

from cloudassist_tasks.store import keys
from cloudassist_tasks.store.link import Link


class RedisNonces:
    """`ports.nonces.Nonces`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def first_use(self, key_id: str, nonce: str, *, keep_ms: int) -> bool:
        """One round trip. The link sends again what may have arrived: the mark shows that it was ours."""
        mark = secrets.token_bytes(12)
        digest = hashlib.sha256(nonce.encode(errors="surrogateescape")).hexdigest()
        found = await self._link.call(
            "SET", keys.nonce(key_id, digest), mark, "NX", "GET", "PX", max(1, keep_ms)
        )
        return found is None or found == mark
