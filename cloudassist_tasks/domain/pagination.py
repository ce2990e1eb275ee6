"""Pages of a listing: by token (new) or by number (announced for removal, still served).

A token is opaque to its holder and holds the position behind the last item, so that it stays right while
items are added or removed. Source: Pagination, common rules.
"""

import base64
import binascii
import re
import zlib
from dataclasses import dataclass

from cloudassist_tasks.domain.errors import Kind, Refused

_CHECKSUM_BYTES = 4
_NEXT_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,1024}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPage:
    """At most `size` items behind `position`, which is empty for the first page."""

    size: int
    position: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedPage:
    """The `number`-th page of `size` items, counted from 1; the reply counts all items."""

    number: int
    size: int

    @property
    def skip(self) -> int:
        """How many items come before it."""
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRules:
    """How large a page may be in one operation."""

    smallest: int = 1
    largest: int = 50
    default: int = 10
    clamp: bool = False
    """A size out of bounds is moved to the nearest bound instead of refused (DescribeInstances)."""


STANDARD = PageRules()

DESCRIBE_INSTANCES = PageRules(smallest=10, largest=100, clamp=True)
"""MaxResults 10 to 100, smaller and larger ones are moved there without an error."""


def checked_page(
    *,
    max_results: int | None = None,
    next_token: str | None = None,
    page_number: int | None = None,
    page_size: int | None = None,
    rules: PageRules = STANDARD,
) -> TokenPage | NumberedPage:
    """Which page is asked for. MaxResults or NextToken decide for tokens, then the other two are ignored;
    with nothing given it is page 1. An empty NextToken is one that was not given.

    `Refused` BAD_MAX_RESULTS, BAD_NEXT_TOKEN, BAD_PAGE_NUMBER, BAD_PAGE_SIZE."""
    if max_results is not None or next_token:
        size = _size("MaxResults", max_results, rules, Kind.BAD_MAX_RESULTS)
        return TokenPage(size=size, position=position_of(next_token) if next_token else "")
    if page_number is not None and page_number < 1:
        raise Refused(Kind.BAD_PAGE_NUMBER, f"PageNumber is {page_number}; pages are counted from 1")
    size = _size("PageSize", page_size, _numbered(rules), Kind.BAD_PAGE_SIZE)
    return NumberedPage(number=1 if page_number is None else page_number, size=size)


def token_for(position: str) -> str:
    """The NextToken that leads on from `position`; empty when there is nothing more."""
    if not position:
        return ""
    data = position.encode()
    return base64.urlsafe_b64encode(_checksum(data) + data).decode().rstrip("=")


def position_of(next_token: str) -> str:
    """The inverse of `token_for`. `Refused(BAD_NEXT_TOKEN)` for anything that it did not make."""
    refusal = Refused(
        Kind.BAD_NEXT_TOKEN,
        "NextToken is not one that a reply gave; leave it out to begin with the first page",
    )
    if not _NEXT_TOKEN.fullmatch(next_token):
        raise refusal
    try:
        data = base64.urlsafe_b64decode(next_token + "=" * (-len(next_token) % 4))
        position = data[_CHECKSUM_BYTES:].decode()
    except (binascii.Error, UnicodeDecodeError):
        raise refusal from None
    if not position or token_for(position) != next_token:
        raise refusal
    return position


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "big")


def _numbered(rules: PageRules) -> PageRules:
    """PageSize may be as small as 1 everywhere."""
    return PageRules(smallest=1, largest=rules.largest, default=rules.default, clamp=rules.clamp)


def _size(name: str, given: int | None, rules: PageRules, kind: Kind) -> int:
    if given is None:
        return rules.default
    if rules.clamp:
        return min(max(given, rules.smallest), rules.largest)
    if not rules.smallest <= given <= rules.largest:
        raise Refused(kind, f"{name} is {given}; it must be from {rules.smallest} to {rules.largest}")
    return given
