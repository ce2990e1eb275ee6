"""Which region a request means: an installation is one, and by default every name means it."""

from typing import Any

from cloudassist_tasks.config import Settings
from cloudassist_tasks.contract.errors import demands_region
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.errors import Kind, Refused


def check_region(operation: Operation[Any], settings: Settings, *, ours: bool) -> None:
    """`Refused` REGION_NOT_FOUND for a name that the settings do not have, if they have any; MISSING_VALUE
    where the name was left out and counts. Our own clients may always leave it out."""
    if not hasattr(operation, "region_id"):
        return
    named: str = operation.region_id or ""
    known = [region.strip() for region in settings.regions.split(",") if region.strip()]
    if not named:
        if not ours and (known or demands_region(type(operation))):
            raise Refused(Kind.MISSING_VALUE, "RegionId is missing; give it", about="RegionId")
    elif known and named not in known:
        raise Refused(
            Kind.REGION_NOT_FOUND, f"there is no region {named[:40]!r} here; there are {', '.join(known)}"
        )
