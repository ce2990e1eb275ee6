"""What is still to be sent of invocations that have closed.

The step that closes an invocation puts its deliveries here, so that none is lost with the process that
closed it. Whoever takes one has it for a lease; it is removed only after it was sent. So it is sent at
least once, and twice at most where somebody dies between the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cloudassist_tasks.domain.delivery import DeliveryKey, DeliveryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A delivery that was not taken yet, or is no longer tried."""

    key: DeliveryKey
    failures: int = 0
    """How often it was tried in vain, since it was last asked for."""
    since_ms: int = 0
    """Since when; 0: it was not tried yet."""
    tried_ms: int = 0
    """When it was last tried."""
    next_ms: int = 0
    """When it is tried next."""
    error: str = ""
    """What came of the last attempt."""
    dead: bool = False
    """Given up: it waits for somebody to send it again, or to remove it."""


class Outbox(Protocol):
    async def take_due(self, *, now_ms: int, lease_ms: int, limit: int) -> Sequence[DeliveryKey]:
        """Deliveries to send now; due again after the lease unless they are removed."""

    async def remove(self, key: DeliveryKey) -> bool:
        """It was sent, or is not wanted any more. False if it was not there."""

    async def put(self, key: DeliveryKey, *, now_ms: int) -> None:
        """Due now, as if it had never been tried; also one that was sent or given up."""

    async def failed(self, key: DeliveryKey, *, error: str, since_ms: int, next_ms: int, now_ms: int) -> None:
        """Not taken: due again at `next_ms`. `since_ms` counts at the first failure. Nothing is done if it
        was removed meanwhile."""

    async def give_up(self, key: DeliveryKey, *, error: str, since_ms: int, now_ms: int) -> None:
        """As `failed`, but it is tried no more."""

    async def get(self, key: DeliveryKey) -> Waiting | None:
        """None if it was sent or removed, or was never due."""

    async def waiting(
        self, kind: DeliveryKind, *, dead: bool, limit: int, start: int = 0
    ) -> Sequence[Waiting]:
        """Those of a kind that are still tried, or the dead ones; the longest-waiting first."""

    async def webhook_secret(self) -> bytes | None:
        """What webhooks are signed with, sealed; None until it is made."""

    async def keep_webhook_secret(self, sealed: bytes, *, instead_of: bytes | None) -> bytes:
        """Keep one in place of that; what stands then (another's, if another was first)."""
