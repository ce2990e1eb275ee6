"""Who has signed a request: a known key, with a signature that fits, now, and for the first time."""

from dataclasses import replace

from cloudassist_tasks.contract.signing import MAX_SKEW_MS, Received, read
from cloudassist_tasks.domain.access import Caller
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.authentication import credentials

__all__ = ["OUR_CLIENT", "authenticated"]

OUR_CLIENT = "x-cloudassist-client"
"""The header with which clients of this product mark themselves; believed only when it is signed."""


async def authenticated(plane: Plane, received: Received, *, source: str) -> Caller:
    """The caller, once all of it holds. A nonce is remembered for as long as its request would be believed.

    `Refused` by `contract.signing.read`, SIGNATURE_MISMATCH, TIMESTAMP_EXPIRED, SIGNATURE_NONCE_USED, and
    what is wrong with the key."""
    signature = read(received)
    found = await credentials(plane, signature.key_id)
    signature.check(*found.secrets)
    now_ms = plane.clock.now_ms()
    signature.check_time(now_ms)
    keep_ms = signature.signed_ms + MAX_SKEW_MS - now_ms + 1_000
    if not await plane.store.nonces.first_use(signature.key_id, signature.nonce, keep_ms=keep_ms):
        raise Refused(
            Kind.SIGNATURE_NONCE_USED, "a request with this nonce was taken already; sign with a new one"
        )
    return replace(found.caller, ours=OUR_CLIENT in signature.covered, source=source)
