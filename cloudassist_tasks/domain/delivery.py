"""What is sent to another program when an invocation closes: a Celery task (callback), an HTTP request
(webhook), or both.

A callback may name any task of any app on the broker but ours and Celery's own: through those it would do
more than whoever names it may.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId, RoundKey
from cloudassist_tasks.domain.wildcard import matches

DEFAULT_QUEUE = "celery"
"""Where a Celery app that says nothing else waits for its tasks."""

NAME_CHARS = 255
KWARGS_BYTES = 8 * 1024
"""Of a callback's own arguments as JSON; they travel with every sending."""
URL_CHARS = 2_048
RESERVED = ("cloudassist.", "celery.", "unacked", "_kombu")
"""Beginnings of the names of tasks and queues that no callback may have: ours, Celery's and the broker's."""
QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
SUMMARY, FAULT = "summary", "error"
"""The arguments that we add; a callback's own may not be called so."""


class DeliveryKind(StrEnum):
    CALLBACK = "callback"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, order=True)
class DeliveryKey:
    """One thing to be sent, once an invocation has closed."""

    kind: DeliveryKind
    invoke_id: InvokeId
    round: int = 0
    """Of a schedule: each round is told of; else 0."""

    @property
    def of(self) -> RoundKey:
        """What it tells of."""
        return RoundKey(self.invoke_id, self.round)

    @property
    def id(self) -> str:
        """The same however often it is sent: the receiver drops what it has seen."""
        return delivery_id(self.invoke_id, self.round)

    def __str__(self) -> str:
        return f"{self.kind}.{self.of}"

    @classmethod
    def parse(cls, text: str) -> "DeliveryKey":
        kind, _, about = text.partition(".")
        of = RoundKey.parse(about)
        return cls(DeliveryKind(kind), of.invoke_id, of.round)


def delivery_id(about: str, round_: int = 0) -> str:
    """Of what is said about an invocation, or one round of it."""
    return f"cb-{about}-{round_}" if round_ else f"cb-{about}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A Celery task of another app."""

    task: str
    queue: str = DEFAULT_QUEUE
    kwargs: Mapping[str, object] = field(default_factory=dict, repr=False)


def checked_callback(given: Mapping[str, object], *, allowed: str = "*") -> Callback:
    """`{"task": …, "queue": …, "kwargs": {…}}`, the last two optional. `allowed`: patterns of task names,
    comma-separated. `Refused(BAD_CALLBACK)`."""
    if unknown := sorted(set(given) - {"task", "queue", "kwargs"}):
        raise _bad_callback(f"{unknown[0][:64]!r} is no part of it; it has task, queue and kwargs")
    task, queue, kwargs = given.get("task"), given.get("queue") or DEFAULT_QUEUE, given.get("kwargs") or {}
    for what, name in (("task", task), ("queue", queue)):
        if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS or not name.isprintable():
            raise _bad_callback(f"{what} must be a name of 1 to {NAME_CHARS} characters")
        if name.startswith(RESERVED):
            raise _bad_callback(f"{what} must not begin with {', '.join(RESERVED)}")
    if not QUEUE.fullmatch(str(queue)):
        raise _bad_callback("queue may have letters, digits, dots, dashes, _ and @")
    if not any(matches(pattern.strip(), str(task)) for pattern in allowed.split(",")):
        raise _bad_callback("its task is none of those that callback_tasks in the settings allows")
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise _bad_callback("kwargs must be an object with names")
    if taken := {SUMMARY, FAULT} & set(kwargs):
        raise _bad_callback(f"kwargs must leave {taken.pop()!r} to us; choose another name")
    if _json_bytes(kwargs) > KWARGS_BYTES:
        raise _bad_callback(f"kwargs may have {KWARGS_BYTES:,} bytes as JSON; send an id in their place")
    return Callback(task=str(task), queue=str(queue), kwargs=dict(kwargs))


def checked_webhook(url: str, *, allowed: str = "") -> str:
    """An absolute http or https URL. `allowed`: patterns of hosts, comma-separated; empty: any.

    `Refused(BAD_WEBHOOK)`, which does not show it: it may hold a secret of the receiver's."""
    if len(url) > URL_CHARS:
        raise _bad_webhook(f"it has more than {URL_CHARS} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise _bad_webhook("it holds characters that a URL does not; encode them")
    parts = _parts(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _bad_webhook("it must be an absolute http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise _bad_webhook("it must not hold a name or password; the receiver checks the signature")
    if not webhook_allowed(url, allowed):
        raise _bad_webhook("its host is none of those that webhook_hosts in the settings allows")
    return url


def webhook_allowed(url: str, allowed: str) -> bool:
    """Whether the host of a URL is among these patterns; empty: any is."""
    host = urlsplit(url).hostname or ""
    patterns = [pattern.strip().lower() for pattern in allowed.split(",") if pattern.strip()]
    return not patterns or any(matches(pattern, host) for pattern in patterns)


def pause_s(failures: int, *, first_s: float, longest_s: float, chance: float) -> float:
    """Until the next attempt after so many failures before this one: doubled each time, up to the longest, of
    which `chance` (0 to 1) takes away up to a half: what failed together does not come back together."""
    whole_s = min(first_s * 2.0 ** min(failures, 60), longest_s)
    return whole_s * (1 - chance / 2)


def webhook_host(url: str) -> str:
    """Scheme, host and port: what may be shown of a webhook's URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # is parsed on use
    except ValueError:
        raise _bad_webhook("it cannot be read as a URL") from None
    return parts


def _json_bytes(value: object) -> int:
    try:
        return len(json.dumps(value, allow_nan=False).encode())
    except (TypeError, ValueError):
        raise _bad_callback("kwargs must be plain JSON: objects, lists, texts, numbers") from None


def _bad_callback(why: str) -> Refused:
    return Refused(Kind.BAD_CALLBACK, f"the callback cannot be used: {why}")


def _bad_webhook(why: str) -> Refused:
    return Refused(Kind.BAD_WEBHOOK, f"the webhook's URL cannot be used: {why}")
