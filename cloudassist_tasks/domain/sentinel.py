"""The address of servers behind Sentinel, as the settings have it, for store and broker alike:

    redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/NAME[?db=0]

The hosts are the Sentinels; NAME is what they call the servers that they watch. User and password are the
servers'; the Sentinels' own stand behind as `sentinel_username` and `sentinel_password`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from cloudassist_tasks.domain.errors import Kind, Refused

SCHEME = "redis+sentinel"
PORT = 26_379
"""Where a Sentinel listens if not told otherwise."""

_OPTIONS = {"db", "sentinel_username", "sentinel_password"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelAddress:
    """One database of the server that is the primary at the time."""

    sentinels: Sequence[tuple[str, int]]
    name: str
    db: int = 0
    login: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`username` and `password` of the servers, those that there are."""
    sentinels_login: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.name} by Sentinel {','.join(self.places)} (db {self.db})"

    @property
    def places(self) -> Sequence[str]:
        """The Sentinels as URLs have them."""
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.sentinels]

    def with_db(self, db: int) -> "SentinelAddress":
        """Another database of the same servers."""
        return replace(self, db=db)

    def url(self) -> str:
        """What `parse_sentinel` reads."""
        options = {f"sentinel_{name}": value for name, value in self.sentinels_login.items()}
        query = urlencode({"db": self.db, **options})
        return f"{SCHEME}://{self.userinfo()}{','.join(self.places)}/{quote(self.name, safe='')}?{query}"

    def userinfo(self) -> str:
        """What stands before the hosts; empty without a login."""
        if not self.login:
            return ""
        user, password = (quote(self.login.get(part, ""), safe="") for part in ("username", "password"))
        return f"{user}:{password}@"


def is_sentinel(url: str) -> bool:
    """Whether it is an address of this form."""
    return url.startswith(f"{SCHEME}://")


def parse_sentinel(url: str) -> SentinelAddress:
    """`Refused(BAD_SETTING)`, which does not show it."""
    try:
        return _parsed(url)
    except ValueError:
        raise Refused(
            Kind.BAD_SETTING,
            "the Sentinels' URL cannot be read; give"
            f" {SCHEME}://[user:password@]host:port,host:port/NAME?db=0",
        ) from None


def _parsed(url: str) -> SentinelAddress:
    parts = urlsplit(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    name = unquote(parts.path.strip("/"))
    sentinels = [_host(each) for each in hosts.split(",")]
    if parts.scheme != SCHEME or not name or "/" in name or not set(options) <= _OPTIONS or parts.fragment:
        raise ValueError
    return SentinelAddress(
        sentinels=sentinels,
        name=name,
        db=int(options.pop("db", "0")),
        login=_login(unquote(username), unquote(password)),
        sentinels_login=_login(options.get("sentinel_username", ""), options.get("sentinel_password", "")),
    )


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port or PORT


def _login(username: str, password: str) -> Mapping[str, str]:
    both = {"username": username, "password": password}
    return {name: value for name, value in both.items() if value}
