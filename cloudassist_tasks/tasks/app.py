"""The Celery app: one configuration for workers, beats, Flower and whoever publishes.

What each setting guards against stands beside it. Runs keep no Celery result, use no chord and no ETA:
the store has their truth, and the future lives there too.
"""

from urllib.parse import urlsplit

from celery import Celery
from kombu.entity import Queue

from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.sentinel import is_sentinel, parse_sentinel
from cloudassist_tasks.tasks import redis_transport
from cloudassist_tasks.tasks.names import express_queue, queues

SOCKET_TIMEOUT_S = 10
"""A broker that does not answer for so long is away; none of our publishes hangs longer."""


def create_app(settings: Settings, broker_url: str) -> Celery:
    """An app for this broker. Tasks are added by `tasks.bodies.bind`."""
    redis_transport.install()
    app = Celery("cloudassist", broker=_kombu_url(broker_url), set_as_current=True)
    app.conf.update(
        task_queues=[Queue(name) for name in (*queues(settings.region), *invoke_queues(settings))],  # type: ignore[no-untyped-call]
        task_default_queue=express_queue(settings.region),
        task_create_missing_queues=True,
        task_ignore_result=True,
        task_acks_late=False,  # a claim, not a message, is what a run is held by
        task_serializer="json",
        accept_content=["json"],
        task_send_sent_event=False,
        worker_send_task_events=True,  # Flower
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=settings.pool != "asyncio",  # a message behind a long run must not wait
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker outlives its broker …
        broker_channel_error_retry=True,  # … and one that is full, or takes no writes for another reason
        broker_pool_limit=10,
        broker_transport_options=_transport_options(broker_url),
        result_backend=None,
        event_queue_expires=60,
        event_queue_ttl=60,
        worker_proc_alive_timeout=30,
        enable_utc=True,
    )
    return app


def invoke_queues(settings: Settings) -> list[str]:
    """Where messages of other apps wait."""
    return [name.strip() for name in settings.invoke_queues.split(",") if name.strip()]


def _kombu_url(broker_url: str) -> str:
    """kombu has a URL for each Sentinel; what they watch stands in the transport's options."""
    if not is_sentinel(broker_url):
        return broker_url
    address = parse_sentinel(broker_url)
    return ";".join(f"sentinel://{address.userinfo()}{place}/{address.db}" for place in address.places)


def _transport_options(broker_url: str) -> dict[str, object]:
    """No retry options here: with one, kombu silently stops pipelining batches."""
    if not urlsplit(broker_url).scheme.startswith(("redis", "valkey")):
        return {}
    return {
        "visibility_timeout": 300,  # only messages that wait for a slot are unacked; redelivery is harmless
        "unacked_restore_interval": 1,  # a tick: every tenth …
        "unacked_restore_throttle": 10,  # … looks for them, so every 10 s and not every 100
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": SOCKET_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 25,
        **_watched(broker_url),
    }


def _watched(broker_url: str) -> dict[str, object]:
    if not is_sentinel(broker_url):
        return {}
    address = parse_sentinel(broker_url)
    waits = {"socket_timeout": SOCKET_TIMEOUT_S, "socket_connect_timeout": SOCKET_TIMEOUT_S}
    return {"master_name": address.name, "sentinel_kwargs": {**waits, **address.sentinels_login}}
