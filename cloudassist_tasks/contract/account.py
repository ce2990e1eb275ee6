"""What the account may do: its quotas."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cloudassist_tasks.contract.operation import Operation, Result, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueItem:
    value: str
    """A number, as text."""
    count: int | None = None
    disk_category: str | None = None
    expired_time: str | None = None
    instance_charge_type: str | None = None
    instance_type: str | None = None
    zone_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAttributeItem:
    attribute_name: str
    attribute_values: Annotated[Sequence[ValueItem], Wire(item="ValueItem")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeAccountAttributesResult(Result):
    account_attribute_items: Annotated[Sequence[AccountAttributeItem], Wire(item="AccountAttributeItem")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeAccountAttributes(Operation[DescribeAccountAttributesResult]):
    """The quotas; all of them when none is named."""

    attribute_name: Sequence[str] = ()
    region_id: Annotated[str | None, Wire(required=True)] = None
    zone_id: str | None = None
    owner_id: int | None = None
    resource_owner_account: str | None = None
    resource_owner_id: int | None = None
