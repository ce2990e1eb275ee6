"""The account's quotas."""

from cloudassist_tasks.contract.account import (
    AccountAttributeItem,
    DescribeAccountAttributes,
    DescribeAccountAttributesResult,
    ValueItem,
)
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.registry import implements


@implements(DescribeAccountAttributes)
async def describe_account_attributes(
    plane: Plane, request: DescribeAccountAttributes
) -> DescribeAccountAttributesResult:
    quotas = {
        "max-axt-command-count": plane.limits.commands,
        "max-axt-invocation-daily": plane.limits.invocations_per_day,
        "max-cloud-assistant-activation-count": plane.limits.activations,
    }
    wanted = request.attribute_name or tuple(quotas)
    return DescribeAccountAttributesResult(
        account_attribute_items=tuple(
            AccountAttributeItem(attribute_name=name, attribute_values=(ValueItem(value=str(quotas[name])),))
            for name in wanted
            if name in quotas
        )
    )
