"""Which region a request means: an installation is one, and by default every name means it."""

from collections.abc import Sequence
from typing import Any

from cloudassist_tasks.config import Settings
from cloudassist_tasks.contract.errors import demands_region
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.regions import DescribeRegions, DescribeRegionsResult, RegionItem
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.registry import implements


@implements(DescribeRegions)
async def describe_regions(plane: Plane, request: DescribeRegions) -> DescribeRegionsResult:
    names = _named(plane.settings) or (plane.settings.region,)
    return DescribeRegionsResult(regions=tuple(RegionItem(region_id=one, local_name=one) for one in names))


def check_region(operation: Operation[Any], settings: Settings, *, ours: bool) -> None:
    """`Refused` REGION_NOT_FOUND for a name that the settings do not have, if they have any; MISSING_VALUE
    where the name was left out and counts. Our own clients may always leave it out."""
    if not hasattr(operation, "region_id"):
        return
    given: str = operation.region_id or ""
    known = _named(settings)
    if not given:
        if not ours and (known or demands_region(type(operation))):
            raise Refused(Kind.MISSING_VALUE, "RegionId is missing; give it", about="RegionId")
    elif known and given not in known:
        raise Refused(
            Kind.REGION_NOT_FOUND, f"there is no region {given[:40]!r} here; there are {', '.join(known)}"
        )


def _named(settings: Settings) -> Sequence[str]:
    return [region.strip() for region in settings.regions.split(",") if region.strip()]
