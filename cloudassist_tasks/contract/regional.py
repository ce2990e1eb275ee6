"""The parameters that almost every operation of the vendor's takes and that say nothing about the request."""

from dataclasses import dataclass
from typing import Annotated

from cloudassist_tasks.contract.operation import Operation, R, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionalOperation(Operation[R]):
    """`region_id` may be anything: an installation is one region. The owners are of the past and ignored."""

    region_id: Annotated[str | None, Wire(required=True)] = None
    owner_account: str | None = None
    owner_id: int | None = None
    resource_owner_account: str | None = None
    resource_owner_id: int | None = None
