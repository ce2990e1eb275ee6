"""Webhooks that were not taken: look at them, send them again, give them up; what they are signed with."""

from collections.abc import Sequence

from cloudassist_tasks.contract.times import time_text
from cloudassist_tasks.contract.webhooks import (
    DescribeWebhooks,
    DescribeWebhooksResult,
    RemoveWebhooks,
    RemoveWebhooksResult,
    ResendWebhooks,
    ResendWebhooksResult,
    RevealWebhookSecret,
    RevealWebhookSecretResult,
    WebhookItem,
)
from cloudassist_tasks.domain.delivery import DeliveryKey, DeliveryKind, webhook_host
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import RoundKey
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.webhook_secret import replace_webhook_secret, webhook_secret
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.ports.outbox import Waiting

AT_A_TIME = 1_000


@implements(DescribeWebhooks)
async def describe_webhooks(plane: Plane, request: DescribeWebhooks) -> DescribeWebhooksResult:
    limit = min(max(request.max_results, 1), 10 * AT_A_TIME)
    if request.invoke_id:
        one = await plane.store.outbox.get(_key(request.invoke_id))
        found = [one] if one is not None and (one.dead or not request.dead) else []
    else:
        found = [] if request.dead else await _waiting(plane, dead=False, limit=limit)
        found += await _waiting(plane, dead=True, limit=limit - len(found))
    return DescribeWebhooksResult(webhooks=tuple([await _item(plane, one) for one in found]))


@implements(ResendWebhooks)
async def resend_webhooks(plane: Plane, request: ResendWebhooks) -> ResendWebhooksResult:
    """`Refused(WEBHOOK_NOT_FOUND)` if an invocation that is named has none, or has not closed."""
    keys = [_key(invoke_id) for invoke_id in dict.fromkeys(request.invoke_id)]
    for key in keys:
        invocation = await plane.store.invocations.get(key.invoke_id, round=key.round)
        if invocation is None or not invocation.spec.webhook or not invocation.finish_ms:
            raise _missing(str(key.of))
    if request.all_dead:
        keys += [one.key for one in await _all_dead(plane)]
    _check_some(keys, request.all_dead)
    for key in dict.fromkeys(keys):
        await plane.store.outbox.put(key, now_ms=plane.clock.now_ms())
    return ResendWebhooksResult(invoke_id=tuple(str(key.of) for key in dict.fromkeys(keys)))


@implements(RemoveWebhooks)
async def remove_webhooks(plane: Plane, request: RemoveWebhooks) -> RemoveWebhooksResult:
    """`Refused(WEBHOOK_NOT_FOUND)` if one that is named waits for nothing; those before it are removed."""
    keys = [_key(invoke_id) for invoke_id in dict.fromkeys(request.invoke_id)]
    _check_some(keys, request.all_dead)
    for key in keys:
        if not await plane.store.outbox.remove(key):
            raise _missing(str(key.of))
    dead = [one.key for one in await _all_dead(plane)] if request.all_dead else []
    for key in dead:
        await plane.store.outbox.remove(key)
    return RemoveWebhooksResult(invoke_id=tuple(str(key.of) for key in [*keys, *dead]))


@implements(RevealWebhookSecret)
async def reveal_webhook_secret(plane: Plane, request: RevealWebhookSecret) -> RevealWebhookSecretResult:
    if request.rotate:
        old = await plane.store.outbox.webhook_secret()
        return RevealWebhookSecretResult(secret=(await replace_webhook_secret(plane, old)).reveal())
    return RevealWebhookSecretResult(secret=(await webhook_secret(plane)).reveal())


def _key(invoke_id: str) -> DeliveryKey:
    """Of an invocation, or `<invoke id>.<round>` of a schedule. `Refused(WEBHOOK_NOT_FOUND)`."""
    try:
        of = RoundKey.parse(invoke_id)
    except ValueError:
        raise _missing(invoke_id) from None
    return DeliveryKey(DeliveryKind.WEBHOOK, of.invoke_id, of.round)


async def _waiting(plane: Plane, *, dead: bool, limit: int) -> list[Waiting]:
    if limit <= 0:
        return []
    return list(await plane.store.outbox.waiting(DeliveryKind.WEBHOOK, dead=dead, limit=limit))


async def _all_dead(plane: Plane) -> list[Waiting]:
    found: list[Waiting] = []
    while page := await plane.store.outbox.waiting(
        DeliveryKind.WEBHOOK, dead=True, limit=AT_A_TIME, start=len(found)
    ):
        found += page
    return found


async def _item(plane: Plane, waiting: Waiting) -> WebhookItem:
    key = waiting.key
    invocation = await plane.store.invocations.get(key.invoke_id, round=key.round)
    return WebhookItem(
        invoke_id=str(key.of),
        receiver=webhook_host(invocation.spec.webhook) if invocation is not None else "",
        state="dead" if waiting.dead else "waiting",
        failures=waiting.failures,
        last_error=waiting.error,
        last_time=time_text(waiting.tried_ms),
        next_time=time_text(waiting.next_ms),
    )


def _check_some(keys: Sequence[DeliveryKey], all_dead: bool) -> None:
    if not keys and not all_dead:
        raise Refused(Kind.MISSING_VALUE, "no webhook was named; give InvokeId, or AllDead")


def _missing(about: str) -> Refused:
    return Refused(
        Kind.WEBHOOK_NOT_FOUND,
        f"{about[:64]} has no webhook that could be sent; see `cloudassist webhook ls`",
    )
