"""What webhooks are signed with: one secret of the installation, sealed in the store."""

import secrets

from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.engine.master_key import WEBHOOKS, check_master_key
from cloudassist_tasks.engine.plane import Plane


async def webhook_secret(plane: Plane) -> Secret[str]:
    """Made at the first use; all machines that have the master key sign with the same one. `Broken` as the
    vault says."""
    sealed = await plane.store.outbox.webhook_secret()
    if sealed is None:
        return await replace_webhook_secret(plane, None)
    return plane.vault.unseal(sealed, of=WEBHOOKS)


async def reseal_webhook_secret(plane: Plane) -> bool:
    """The same under the newest master key; whether there was anything to do."""
    sealed = await plane.store.outbox.webhook_secret()
    if sealed is None or plane.vault.is_current(sealed):
        return False
    fresh = plane.vault.seal(plane.vault.unseal(sealed, of=WEBHOOKS), of=WEBHOOKS)
    await plane.store.outbox.keep_webhook_secret(fresh, instead_of=sealed)
    return True


async def replace_webhook_secret(plane: Plane, old: bytes | None) -> Secret[str]:
    """A new one in place of the old; if another process was first, its own."""
    await check_master_key(plane, but_webhooks=True)
    fresh = plane.vault.seal(Secret(secrets.token_urlsafe(32)), of=WEBHOOKS)
    kept = await plane.store.outbox.keep_webhook_secret(fresh, instead_of=old)
    return plane.vault.unseal(kept, of=WEBHOOKS)
