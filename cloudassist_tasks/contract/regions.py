"""Which regions there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cloudassist_tasks.contract.operation import Operation, Result, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionItem:
    region_id: str
    local_name: str
    region_endpoint: str = ""
    """Empty: the one that was asked."""
    status: str = "available"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRegionsResult(Result):
    regions: Annotated[Sequence[RegionItem], Wire(item="Region")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRegions(Operation[DescribeRegionsResult]):
    """The names that RegionId may have."""

    accept_language: str | None = None
    instance_charge_type: str | None = None
    resource_type: str | None = None
    owner_account: str | None = None
    owner_id: int | None = None
    resource_owner_account: str | None = None
    resource_owner_id: int | None = None
