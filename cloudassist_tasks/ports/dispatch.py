"""How a worker is told that there is something to do.

A message is a hint: it carries ids only, may be lost and may come twice. The store has the truth, and
reconcile publishes again what was lost. Errors: `Broken` when the broker cannot be reached in time.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.power import PowerKey


class Dispatch(Protocol):
    async def publish(self, keys: Sequence[RunKey], *, express: bool, again: bool = False) -> None:
        """Tell workers of these runs, in order, pipelined. `express`: the lane of small invocations. `again`:
        these were published before; workers that were told to drop the first message heed this one."""

    async def publish_collect(self, instances: Sequence[InstanceId]) -> None:
        """Have somebody look at the runs that were let go on these instances."""

    async def publish_prepare(self, instances: Sequence[InstanceId]) -> None:
        """Have workers prepare these instances, in the background."""

    async def publish_power(self, keys: Sequence[PowerKey]) -> None:
        """Have workers carry these actions out."""

    async def publish_callback(
        self, callback: Callback, callback_id: str, told: Mapping[str, object]
    ) -> None:
        """Send another app's task, under this id. `told` is added to its own arguments."""

    async def revoke(self, keys: Sequence[RunKey]) -> None:
        """A courtesy: workers drop these messages unseen. The durable stop flag decides."""

    async def waiting(self) -> int:
        """How many messages wait in the run queues, not counting those that workers hold."""
