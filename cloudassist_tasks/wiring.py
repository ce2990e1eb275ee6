"""The composition root: the only module that names concrete adapters.

`find_servers` is synchronous and comes first (it may start the embedded store); `open_plane` makes the
adapters on the running event loop, so each process, a forked one too, has its own.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from celery import Celery

from cloudassist_tasks.config import Settings
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.store import embedded
from cloudassist_tasks.store.redis_store import RedisStore
from cloudassist_tasks.tasks.app import create_app
from cloudassist_tasks.tasks.dispatch import CeleryDispatch
from cloudassist_tasks.transports.choose import Transports


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where the store and the broker are; an embedded one runs at least as long as this is not released."""

    store_url: str
    broker_url: str
    release: Callable[[], None]


def find_servers(settings: Settings) -> Servers:
    """The given servers, else the embedded one, started if need be. `Broken` if it cannot be."""
    if settings.redis_url:
        return Servers(
            store_url=settings.redis_url,
            broker_url=settings.broker_url or embedded.broker_url_beside(settings.redis_url),
            release=lambda: None,
        )
    server = embedded.acquire(settings.data_dir)
    return Servers(
        store_url=server.store_url,
        broker_url=settings.broker_url or server.broker_url,
        release=server.release,
    )


def celery_app(settings: Settings, servers: Servers) -> Celery:
    """The Celery app of this installation."""
    return create_app(settings, servers.broker_url)


async def open_plane(settings: Settings, servers: Servers, app: Celery | None = None) -> Plane:
    """All adapters, connected. `Broken` if the store does not answer."""
    store = await RedisStore.open(servers.store_url)
    return Plane(
        store=store,
        clock=store.clock,
        notify=store.notify,
        dispatch=CeleryDispatch(app or celery_app(settings, servers), settings.region),
        transport=Transports.from_settings(settings),
        settings=settings,
        new_id=new_id,
    )


async def close_plane(plane: Plane) -> None:
    """End the connections; what runs on hosts goes on."""
    await plane.transport.close()
    if isinstance(plane.dispatch, CeleryDispatch):
        await plane.dispatch.close()
    await plane.store.close()


def new_id(prefix: str) -> str:
    """`t-` and 32 hexadecimal digits: random, so that no two installations give the same."""
    return prefix + uuid.uuid4().hex
