"""What all listings share: the two styles of paging, and the filters by tag and resource group.

A request that gives `max_results` or `next_token` pages by token and its page number is ignored; one that
gives neither is answered with numbered pages. Source: the vendor's API, pagination.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cloudassist_tasks.contract.operation import R, Result, Tag
from cloudassist_tasks.contract.regional import RegionalOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedOperation(RegionalOperation[R]):
    """Asks for one page of a listing."""

    max_results: int | None = None
    """1 to 50, default 10; asks for pages by token."""
    next_token: str | None = None
    """From the last page; left out for the first."""
    page_number: int | None = None
    """From 1."""
    page_size: int | None = None
    """1 to 50, default 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(PagedOperation[R]):
    """Asks for one page of things that carry tags."""

    resource_group_id: str | None = None
    """Only those that were made with this resource group."""
    tag: Sequence[Tag] = ()
    """All of these; a key without a value matches any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PagedResult(Result):
    """One page of a listing."""

    next_token: str = ""
    """Asks for the next page; empty: there is none, or the pages are numbered."""
    page_number: int = 0
    page_size: int = 0
    total_count: int = 0
    """Counted for numbered pages only."""
