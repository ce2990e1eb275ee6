"""Tags that change after the thing was made. Whatever finds things by their tags finds them by the new ones
at once."""

from collections.abc import Mapping
from typing import Protocol

from cloudassist_tasks.domain.ids import InstanceId, InvokeId


class Tags(Protocol):
    """Each method is one step: False, and nothing done, if the tags are no longer `before`, or the thing is
    gone. (A kept command's tags change with the rest of it: `Commands.replace`.)"""

    async def retag_instance(
        self, instance_id: InstanceId, *, before: Mapping[str, str], after: Mapping[str, str]
    ) -> bool: ...

    async def retag_invocation(
        self, invoke_id: InvokeId, *, before: Mapping[str, str], after: Mapping[str, str]
    ) -> bool: ...
