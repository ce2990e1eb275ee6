"""What redis-py does not do with the store's URL: name the server without its password, name the database
beside it for the broker, and refuse a URL that will not do before anything connects."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cloudassist_tasks.domain.errors import Kind, Refused

LAST_DB = 15
"""Of the 16 that a server has if not told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One database of one server."""

    path: str = ""
    """Of a unix socket; empty: host and port."""
    host: str = "127.0.0.1"
    port: int = 6379
    db: int = 0

    def __str__(self) -> str:
        return f"{self.path or f'{self.host}:{self.port}'} (db {self.db})"


def address_of(url: str) -> Address:
    """`redis://`, `rediss://` or `unix://`, as redis-py reads them. `Refused(BAD_SETTING)`, which does not
    show it."""
    parts = _parts(url)
    return Address(
        path=parts.get("path", ""),
        host=parts.get("host", "127.0.0.1"),
        port=parts.get("port", 6379),
        db=parts.get("db", 0),
    )


def pool_of(url: str, **options: Any) -> ConnectionPool:
    """Connections that try nothing again by themselves and give replies as bytes, in the shapes of RESP2:
    those that all versions of servers and scripts agree on. Our options win over the URL's.

    Nothing connects yet. `Refused(BAD_SETTING)`."""
    ours = {
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "decode_responses": False,
        "driver_info": None,  # a round trip less to connect; the client's name says more
    }
    try:
        pool = ConnectionPool(**_parts(url) | ours | options)
        pool.make_connection()  # type: ignore[no-untyped-call]  # looks at the options
    except (TypeError, ValueError, RedisError):
        raise _unreadable() from None  # what they say may show it
    return pool


def broker_url_beside(store_url: str) -> str:
    """kombu's URL of another database of the same server: the next one."""
    address = address_of(store_url)
    db = address.db + 1 if address.db < LAST_DB else address.db - 1
    parts = urlsplit(store_url)
    if address.path:
        return f"redis+socket://{parts.netloc}{quote(address.path)}?virtual_host={db}"
    query = "&".join(each for each in parts.query.split("&") if each and not each.startswith("db="))
    return f"{parts.scheme}://{parts.netloc}/{db}" + (f"?{query}" if query else "")


def _parts(url: str) -> dict[str, Any]:
    try:
        parts: dict[str, Any] = dict(parse_url(url))
    except ValueError:
        raise _unreadable() from None  # what it says may show it
    if parts.get("connection_class") is UnixDomainSocketConnection and not parts.get("path"):
        raise _unreadable()
    return parts


def _unreadable() -> Refused:
    return Refused(
        Kind.BAD_SETTING,
        "the store's URL cannot be read; give redis://host:port/db, rediss://… or unix:///path?db=0",
    )
