"""What redis-py does not do with the store's URL: name the server without its password, name the database
beside it for the broker, and refuse a URL that will not do before anything connects."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.sentinel import is_sentinel, parse_sentinel

LAST_DB = 15
"""Of the 16 that a server has if not told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One database of one server."""

    path: str = ""
    """Of a unix socket; empty: host and port."""
    watched: str = ""
    """What Sentinels know of it, who say where the primary is; empty: it has an address of its own."""
    host: str = "127.0.0.1"
    port: int = 6379
    db: int = 0

    def __str__(self) -> str:
        return self.watched or f"{self.path or f'{self.host}:{self.port}'} (db {self.db})"


def address_of(url: str) -> Address:
    """`redis://`, `rediss://` or `unix://`, as redis-py reads them, or `redis+sentinel://`, as
    `domain/sentinel.py` does. `Refused(BAD_SETTING)`, which does not show it."""
    if is_sentinel(url):
        sentinel = parse_sentinel(url)
        return Address(watched=str(sentinel), db=sentinel.db)
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
    if is_sentinel(url):
        return _WatchedPool(url, ours | options)
    try:
        pool = ConnectionPool(**_parts(url) | ours | options)
        pool.make_connection()  # type: ignore[no-untyped-call]  # looks at the options
    except (TypeError, ValueError, RedisError):
        raise _unreadable() from None  # what they say may show it
    return pool


class _WatchedPool(SentinelConnectionPool):
    """Connections to the primary. Each new one asks the Sentinels where that is; one to a server that was
    demoted is given up at the first write that it refuses."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        address = parse_sentinel(url)
        waits = {name: value for name, value in options.items() if name.startswith("socket_")}
        # nothing may hang on a Sentinel that is silent: the next one is asked
        waits["socket_timeout"] = waits.get("socket_timeout") or waits.get("socket_connect_timeout")
        patience: dict[str, Any] = {**waits, **address.sentinels_login, "retry": options["retry"]}
        self._sentinel = Sentinel(list(address.sentinels), sentinel_kwargs=patience)  # type: ignore[no-untyped-call]
        super().__init__(  # type: ignore[no-untyped-call]
            address.name, self._sentinel, db=address.db, **address.login, **options
        )

    async def get_master_address(self) -> tuple[str, int]:
        try:
            found: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        except MasterNotFoundError:  # its own words are a page long
            raise MasterNotFoundError("no Sentinel knows a primary that is up") from None
        return found

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in self._sentinel.sentinels:
            await sentinel.aclose()


def broker_url_beside(store_url: str) -> str:
    """The broker's URL of another database of the same server: the next one, at the last the one before."""
    address = address_of(store_url)
    db = address.db + 1 if address.db < LAST_DB else address.db - 1
    if is_sentinel(store_url):
        return parse_sentinel(store_url).with_db(db).url()
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
        "the store's URL cannot be read; give redis://host:port/db, rediss://…, redis+sentinel://… or"
        " unix:///path?db=0",
    )
