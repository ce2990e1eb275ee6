"""The composition root: the only module that names concrete adapters.

`find_servers` is synchronous and comes first (it may start the embedded store); `open_plane` makes the
adapters on the running event loop, so each process, a forked one too, has its own.
"""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloudassist_tasks.config import Settings
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.sender import InProcessSender
from cloudassist_tasks.store import embedded
from cloudassist_tasks.store.redis_store import RedisStore
from cloudassist_tasks.store.vault import FileVault
from cloudassist_tasks.tasks.dispatch import CeleryDispatch, Publisher
from cloudassist_tasks.transports.choose import Transports
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.power import ShellSwitch
from cloudassist_tasks.webhooks.posting import HttpWebhooks

if TYPE_CHECKING:  # loaded where it is used
    from celery import Celery


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where the store and the broker are; an embedded one runs at least as long as this is not released."""

    store_url: str
    broker_url: str
    release: Callable[[], None]
    revive: Callable[[], bool]
    """Start an embedded server again that has died; whether it had. False for servers that are not ours."""


def find_servers(settings: Settings) -> Servers:
    """The given servers, else the embedded one, started if need be. `Broken` if it cannot be."""
    if settings.redis_url:
        return Servers(
            store_url=settings.redis_url,
            broker_url=settings.broker_url or embedded.broker_url_beside(settings.redis_url),
            release=lambda: None,
            revive=lambda: False,
        )
    server = embedded.acquire(settings.data_dir, max_mb=settings.store_max_mb)
    return Servers(
        store_url=server.store_url,
        broker_url=settings.broker_url or server.broker_url,
        release=server.release,
        revive=server.revive,
    )


def celery_app(settings: Settings, servers: Servers) -> "Celery":
    """The Celery app of this installation."""
    from cloudassist_tasks.tasks.app import create_app  # loads celery: not for what publishes nothing

    return create_app(settings, servers.broker_url)


async def open_plane(settings: Settings, servers: Servers, app: "Celery | None" = None) -> Plane:
    """All adapters, on this event loop. `Broken` if the store does not answer."""
    async with AsyncExitStack() as stack:
        store = await RedisStore.open(servers.store_url)
        stack.push_async_callback(store.close)
        dispatch = CeleryDispatch(lambda: _publisher(app or celery_app(settings, servers)), settings.region)
        stack.push_async_callback(dispatch.close)
        transport = Transports(
            engine=settings.ssh_engine,
            allow_local=settings.allow_local,
            limits=ConnectLimits(
                keep_s=settings.ssh_keep_s,
                max_connections=settings.ssh_max_connections,
                max_connecting=settings.ssh_connects_at_once,
            ),
        )
        stack.push_async_callback(transport.close)
        webhooks = HttpWebhooks(deadline_s=settings.webhook_deadline_s)
        stack.push_async_callback(webhooks.close)
        return Plane(
            store=store,
            clock=store.clock,
            notify=store.notify,
            dispatch=dispatch,
            transport=transport,
            switch=ShellSwitch(),
            vault=FileVault(settings.data_dir, settings.secret_key),
            webhooks=webhooks,
            settings=settings,
            new_id=new_id,
            close=stack.pop_all().aclose,
        )


def _publisher(app: "Celery") -> Publisher:
    from cloudassist_tasks.tasks.publishing import CeleryPublisher  # as above

    return CeleryPublisher(app)


def sender_of(plane: Plane) -> InProcessSender:
    """Sends operations on a plane that somebody else closes."""
    return InProcessSender(plane)


async def in_process_sender(settings: Settings) -> InProcessSender:
    """A plane of its own for one sender, closed with it: the way of `Client()`."""
    servers = await asyncio.to_thread(find_servers, settings)
    try:
        return InProcessSender(await open_plane(settings, servers), release=servers.release)
    except BaseException:
        await asyncio.to_thread(servers.release)
        raise


def new_id(prefix: str) -> str:
    """`t-` and 32 hexadecimal digits: random, so that no two installations give the same."""
    return prefix + uuid.uuid4().hex
