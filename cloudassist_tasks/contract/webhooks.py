"""Webhooks: how their bodies are signed, and what an operator does about those that are not taken.

The signature is `t=<seconds>,v1=<hex>`: HMAC-SHA256 under the installation's secret over the time, a dot
and the body. A receiver that checks the time too is safe from replays. `verified` is what it does.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloudassist_tasks.contract.extensions import Extension
from cloudassist_tasks.contract.operation import Result

TOLERANCE_S = 300
"""How old a signature may be when it is checked."""

_SIGNATURE = re.compile(r"t=(\d{1,15}),v1=([0-9a-f]{64})")


def signature(secret: str, body: bytes, *, at_s: int) -> str:
    """Of a body, at a time."""
    return f"t={at_s},v1={_digest(secret, str(at_s), body)}"


def verified(secret: str, body: bytes, signed: str, *, now_s: float, tolerance_s: int = TOLERANCE_S) -> bool:
    """Whether the body was signed with the secret, not long ago."""
    found = _SIGNATURE.fullmatch(signed)
    if found is None or abs(now_s - int(found[1])) > tolerance_s:
        return False
    return hmac.compare_digest(found[2], _digest(secret, found[1], body))


def _digest(secret: str, at: str, body: bytes) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookItem:
    """A webhook that was not taken yet."""

    invoke_id: str
    receiver: str
    """Scheme, host and port of the URL; its path may be a secret."""
    state: str
    """waiting, or dead: no longer tried."""
    failures: int
    last_error: str
    last_time: str
    """When it was last tried; empty: never."""
    next_time: str
    """When it is tried next; empty if it is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeWebhooksResult(Result):
    webhooks: Sequence[WebhookItem] = ()
    """The longest-waiting first; the dead ones behind the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeWebhooks(Extension[DescribeWebhooksResult]):
    """Webhooks that were not taken yet: those that are still tried, and those that were given up."""

    invoke_id: str | None = None
    dead: bool = False
    """Only those that were given up."""
    max_results: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendWebhooksResult(Result):
    invoke_id: Sequence[str] = ()
    """Whose webhooks are sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendWebhooks(Extension[ResendWebhooksResult]):
    """Try again at once, from the beginning; also one that was taken already."""

    invoke_id: Sequence[str] = ()
    all_dead: bool = False
    """All that were given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveWebhooksResult(Result):
    invoke_id: Sequence[str] = ()
    """Whose webhooks are not sent any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveWebhooks(Extension[RemoveWebhooksResult]):
    """Send them no more."""

    invoke_id: Sequence[str] = ()
    all_dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealWebhookSecretResult(Result):
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealWebhookSecret(Extension[RevealWebhookSecretResult]):
    """What receivers check signatures with. Made at the first use."""

    rotate: bool = False
    """Make a new one; the old one is gone at once."""
