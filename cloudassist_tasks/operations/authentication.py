"""Who signs: an access key's secrets, and what the key entitles its holder to.

Nothing is remembered between calls (one short read of the store each, and a decryption of microseconds), so
a key that is disabled, removed or rotated has its new meaning with the next call.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.access import Caller
from cloudassist_tasks.domain.access_key import ACCESS_KEY_ID, AccessKeyId
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.engine.plane import Plane

USED_EVERY_MS = 60_000
"""How exactly the time of a key's last use is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    caller: Caller
    """Whom the signature proves; the way in adds `source`, and `ours` for a client of this product."""
    secret: Secret[str]
    earlier: Secret[str] | None = None
    """The secret before it, while it still serves after a rotation."""

    @property
    def secrets(self) -> Sequence[Secret[str]]:
        """What a signature may have been made with: any of these, the current one first."""
        return (self.secret,) if self.earlier is None else (self.secret, self.earlier)


async def credentials(plane: Plane, key_id: str) -> Credentials:
    """Of an access key. They say nothing until a signature made with one of `secrets` was checked.

    `Refused` ACCESS_KEY_NOT_FOUND, ACCESS_KEY_INACTIVE; `Broken` also where the master key is not that under
    which the secret was sealed."""
    key = await plane.store.access_keys.get(AccessKeyId(key_id)) if ACCESS_KEY_ID.fullmatch(key_id) else None
    if key is None:
        raise Refused(Kind.ACCESS_KEY_NOT_FOUND, "there is no such AccessKeyId; see `cloudassist key ls`")
    if key.disabled:
        raise Refused(
            Kind.ACCESS_KEY_INACTIVE, f"access key {key.id} is disabled; `cloudassist key enable` undoes that"
        )
    earlier = plane.vault.unseal(key.earlier, of=key.id) if key.earlier_serves(plane.clock.now_ms()) else None
    return Credentials(
        caller=Caller(name=key.id, role=key.role, policy=key.policy, last_used_ms=key.used_ms),
        secret=plane.vault.unseal(key.sealed, of=key.id),
        earlier=earlier,
    )


async def note_use(plane: Plane, caller: Caller) -> None:
    """Remember that a key is in use, about once a minute."""
    if caller.last_used_ms is None:
        return
    now_ms = plane.clock.now_ms()
    if now_ms - caller.last_used_ms >= USED_EVERY_MS:
        await plane.store.access_keys.used(AccessKeyId(caller.name), now_ms=now_ms)
