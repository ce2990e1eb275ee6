"""Whether this process has the master key under which the installation's secrets are sealed."""

from cloudassist_tasks.engine.plane import Plane

WEBHOOKS = "webhooks"
"""Whose secret the one of webhooks is sealed as."""


async def check_master_key(plane: Plane, *, but_webhooks: bool = False) -> None:
    """Before a secret is sealed. `Broken` if those that there are cannot be opened here: a second master key,
    made in silence, would leave secrets of which each process knows but some. `but_webhooks`: theirs is about
    to be replaced."""
    for key in (await plane.store.access_keys.all())[:1]:
        plane.vault.unseal(key.sealed, of=key.id)
    sealed = await plane.store.outbox.webhook_secret()
    if sealed is not None and not but_webhooks:
        plane.vault.unseal(sealed, of=WEBHOOKS)
