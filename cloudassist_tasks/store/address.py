"""Where a server is, taken apart from its URL, and how to name it without its password."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from redis.connection import SSLConnection, parse_url

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.secret import Secret

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
    username: str = ""
    password: Secret[str] = field(default_factory=lambda: Secret(""))
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.path or f'{self.host}:{self.port}'} (db {self.db})"


def address_of(url: str) -> Address:
    """`redis://`, `rediss://` or `unix://`, as redis-py reads them.

    `Refused(BAD_SETTING)`, which does not show it."""
    try:
        parts = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise Refused(
            Kind.BAD_SETTING,
            "the store's URL cannot be read; give redis://host:port/db, rediss://… or unix:///path?db=0",
        ) from error
    return Address(
        path=parts.get("path", ""),
        host=parts.get("host", "127.0.0.1"),
        port=parts.get("port", 6379),
        db=int(parts.get("db", 0)),
        username=parts.get("username", ""),
        password=Secret(parts.get("password", "")),
        tls=_tls(parts) if parts.get("connection_class") is SSLConnection else None,
    )


def broker_url_beside(store_url: str) -> str:
    """kombu's URL of another database of the same server: the next one."""
    address = address_of(store_url)
    db = address.db + 1 if address.db < LAST_DB else address.db - 1
    parts = urlsplit(store_url)
    if address.path:
        return f"redis+socket://{parts.netloc}{quote(address.path)}?virtual_host={db}"
    query = "&".join(each for each in parts.query.split("&") if each and not each.startswith("db="))
    return f"{parts.scheme}://{parts.netloc}/{db}" + (f"?{query}" if query else "")


def _tls(parts: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
    if certificate := parts.get("ssl_certfile"):
        context.load_cert_chain(certificate, parts.get("ssl_keyfile"))
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
