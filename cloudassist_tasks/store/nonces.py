"""Nonces of signed requests: one key each, which the server forgets in time. A full server takes them, too:
who is not heard could not stop what runs."""

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
        key = keys.nonce(key_id, digest)
        return bool(await self._link.script("use_nonce", [key], [mark, max(1, keep_ms)]))
