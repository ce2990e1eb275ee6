"""Tell other programs that an invocation has closed: Celery callbacks and webhooks, out of the outbox.

Every worker and every beat looks into it: at once when it has closed an invocation itself, else every few
seconds. A delivery is taken for a lease, sent, then removed: at least once, with the same id each time.
"""

import asyncio
import json
import logging
import random

from cloudassist_tasks.contract.callbacks import InvocationSummary
from cloudassist_tasks.contract.times import time_text
from cloudassist_tasks.contract.webhooks import signature
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.domain.delivery import (
    SUMMARY,
    DeliveryKey,
    DeliveryKind,
    delivery_id,
    pause_s,
    webhook_allowed,
)
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.domain.rollup import invocation_status, legacy_invocation_status
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.webhook_secret import webhook_secret
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.webhooks import NotTaken

AT_ONCE = 100
"""Deliveries that one process has under way; a slow receiver holds up none but its own."""

LEASE_MARGIN_S = 20
"""How much longer than the webhooks' deadline a delivery stays with who took it."""

CALLBACK_PAUSE_S, LONGEST_CALLBACK_PAUSE_S = 1.0, 30.0
"""Between attempts to publish a callback while the broker is away. It is never given up."""


async def deliver_for_ever(worker: Worker) -> None:
    """Until cancelled. A store that is away is tried again."""
    plane = worker.plane
    while not worker.draining:
        plane.closed.clear()
        try:
            await deliver_due(worker)
        except Broken as error:
            log("deliver_failed", logging.WARNING, error=str(error))
        except Exception as error:  # a fault of ours must not end all deliveries
            log("deliver_failed", logging.ERROR, error=repr(error))
        try:
            async with asyncio.timeout(plane.settings.reconcile_s):
                await plane.closed.wait()
        except TimeoutError:
            pass


async def deliver_due(worker: Worker) -> None:
    """Begin all that is due and that this process has room for."""
    plane = worker.plane
    lease_ms = int(1_000 * (plane.settings.webhook_deadline_s + LEASE_MARGIN_S))
    while (room := AT_ONCE - worker.delivering) > 0:
        keys = await plane.store.outbox.take_due(now_ms=plane.clock.now_ms(), lease_ms=lease_ms, limit=room)
        if not keys:
            return
        for key in keys:
            worker.delivering += 1
            worker.spawn(_deliver(worker, key))


async def _deliver(worker: Worker, key: DeliveryKey) -> None:
    plane = worker.plane
    try:
        invocation = await plane.store.invocations.get(key.invoke_id, round=key.round)
        if invocation is None:  # forgotten: nothing is left to tell of
            await plane.store.outbox.remove(key)
            return
        try:
            await _send(plane, key, invocation)
        except (NotTaken, Broken) as fault:
            await _again(plane, key, invocation, str(fault), retry_helps=fault.retry_helps)
        except Exception as fault:  # one of ours must not be tried without a pause
            log("deliver_failed", logging.ERROR, invoke_id=key.invoke_id, kind=key.kind, error=repr(fault))
            await _again(plane, key, invocation, f"a fault of ours: {type(fault).__name__}", retry_helps=True)
        else:
            await plane.store.outbox.remove(key)
            log("delivered", invoke_id=key.invoke_id, kind=key.kind)
    except Broken as error:  # the store is away: it comes again after its lease
        log("deliver_failed", logging.WARNING, invoke_id=key.invoke_id, kind=key.kind, error=str(error))
    finally:
        worker.delivering -= 1
        if worker.delivering == AT_ONCE - 1:
            plane.closed.set()  # there was no room: look again


async def _send(plane: Plane, key: DeliveryKey, invocation: Invocation) -> None:
    spec, summary = invocation.spec, to_wire(summary_of(invocation))
    if key.kind is DeliveryKind.CALLBACK and spec.callback is not None:
        await plane.dispatch.publish_callback(spec.callback, key.id, {SUMMARY: summary})
    elif key.kind is DeliveryKind.WEBHOOK and spec.webhook:
        if not webhook_allowed(spec.webhook, plane.settings.webhook_hosts):
            raise NotTaken("its host is none of those that webhook_hosts allows now", retry_helps=False)
        body = json.dumps(summary, ensure_ascii=False, separators=(",", ":")).encode()
        signed = signature((await webhook_secret(plane)).reveal(), body, at_s=plane.clock.now_ms() // 1_000)
        await plane.webhooks.post(spec.webhook, body, delivery_id=key.id, signature=signed)


async def _again(
    plane: Plane, key: DeliveryKey, invocation: Invocation, why: str, *, retry_helps: bool
) -> None:
    settings, now_ms = plane.settings, plane.clock.now_ms()
    waiting = await plane.store.outbox.get(key)
    failures = waiting.failures if waiting else 0
    since_ms = waiting.since_ms if waiting and waiting.since_ms else now_ms
    facts = {"invoke_id": key.invoke_id, "kind": key.kind, "error": why, "failures": failures + 1}
    is_webhook = key.kind is DeliveryKind.WEBHOOK
    too_late = now_ms - since_ms >= 1_000 * settings.webhook_give_up_s
    if is_webhook and (too_late or not retry_helps):
        await plane.store.outbox.give_up(key, error=why, since_ms=since_ms, now_ms=now_ms)
        log("webhook_dead", logging.ERROR, **facts)
        return
    first_s = settings.webhook_retry_s if is_webhook else CALLBACK_PAUSE_S
    longest_s = settings.webhook_longest_pause_s if is_webhook else LONGEST_CALLBACK_PAUSE_S
    next_s = pause_s(failures, first_s=first_s, longest_s=longest_s, chance=random.random())
    await plane.store.outbox.failed(
        key, error=why, since_ms=since_ms, next_ms=now_ms + int(1_000 * next_s), now_ms=now_ms
    )
    log("not_delivered", logging.WARNING, **facts, again_in_s=round(next_s, 1))


def summary_of(invocation: Invocation) -> InvocationSummary:
    """What is told of an invocation that has closed."""
    spec = invocation.spec
    return InvocationSummary(
        delivery_id=delivery_id(spec.id, invocation.round),
        invoke_id=spec.id,
        round=invocation.round,
        command_id=spec.command.id,
        invocation_status=invocation_status(invocation.tally),
        invoke_status=legacy_invocation_status(invocation.tally),
        counts={status.value: n for status, n in invocation.tally.items()},
        total=invocation.total,
        tags=dict(spec.tags),
        creation_time=time_text(invocation.opened_ms),
        stop_time=time_text(invocation.stop_ms),
        finish_time=time_text(invocation.finish_ms),
    )
