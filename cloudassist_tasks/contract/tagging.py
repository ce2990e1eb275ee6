"""Tags of things that are there already: set, removed, listed.

`resource_type` is `command`, `invocation` (of a script or a file) or `instance`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cloudassist_tasks.contract.operation import Operation, Result, Tag, Wire
from cloudassist_tasks.contract.regional import RegionalOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResourcesResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResources(Operation[TagResourcesResult]):
    """Set tags on up to 50 things, all or none of them; a key that is there gets the new value."""

    region_id: Annotated[str | None, Wire(required=True)] = None
    owner_account: str | None = None
    owner_id: int | None = None
    resource_owner_account: str | None = None
    resource_type: str
    resource_id: Sequence[str]
    tag: Sequence[Tag]


@dataclass(frozen=True, slots=True, kw_only=True)
class UntagResourcesResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UntagResources(RegionalOperation[UntagResourcesResult]):
    """Remove tags; a key that is not there is passed over."""

    resource_type: str
    resource_id: Sequence[str]
    tag_key: Sequence[str] = ()
    all: bool | None = None
    """Every tag. Not together with `tag_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFilterItem:
    tag_key: str = ""
    tag_values: Sequence[str] = ()
    """Any of these; empty: any value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagResourceItem:
    resource_type: str
    resource_id: str
    tag_key: str
    tag_value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTagResourcesResult(Result):
    tag_resources: Annotated[Sequence[TagResourceItem], Wire(item="TagResource")] = ()
    """One for each tag of each thing."""
    next_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTagResources(RegionalOperation[ListTagResourcesResult]):
    """The tags of things: of those that are named, of those that have some tags, or both."""

    resource_type: str
    resource_id: Sequence[str] = ()
    tag: Sequence[Tag] = ()
    """All of these; a key without a value matches any."""
    tag_filter: Sequence[TagFilterItem] = ()
    """All of these too."""
    next_token: str | None = None
