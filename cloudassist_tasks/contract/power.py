"""Switch instances on and off: one, or several at once.

Asynchronous: the reply comes when the wish is recorded, DescribeInstances shows what comes of it. Only an
instance that was registered with a power command can be switched; what the vendor's parameters say of
disks and billing means nothing here and is accepted without effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cloudassist_tasks.contract.operation import Operation, R, Result, Wire
from cloudassist_tasks.contract.regional import RegionalOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSwitch(Operation[R]):
    """One instance. These three have no RegionId."""

    instance_id: str
    dry_run: bool | None = None
    """Only check; that nothing stands in the way is reported as an error of its own."""
    owner_account: str | None = None
    owner_id: int | None = None
    resource_owner_account: str | None = None
    resource_owner_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInstanceResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInstance(InstanceSwitch[StartInstanceResult]):
    """Start an instance that is Stopped."""

    init_local_disk: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInstanceResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInstance(InstanceSwitch[StopInstanceResult]):
    """Stop an instance that is Running."""

    force_stop: bool | None = None
    """The power command is told; it decides what that means."""
    confirm_stop: bool | None = None
    hibernate: bool | None = None
    stopped_mode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootInstanceResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootInstance(InstanceSwitch[RebootInstanceResult]):
    """Restart an instance that is Running."""

    force_stop: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesSwitch(RegionalOperation[R]):
    """Several instances."""

    instance_id: Sequence[str]
    batch_optimization: str | None = None
    """AllTogether (default): all of them or none. SuccessFirst: those that can be, and why the others not."""
    dry_run: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceResponse:
    instance_id: str
    code: str
    """`200`, or the code of an error."""
    message: str = ""
    previous_status: str = ""
    current_status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchResult(Result):
    instance_responses: Annotated[Sequence[InstanceResponse], Wire(item="InstanceResponse")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInstancesResult(SwitchResult):
    """What came of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInstances(InstancesSwitch[StartInstancesResult]):
    """Start instances that are Stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInstancesResult(SwitchResult):
    """What came of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInstances(InstancesSwitch[StopInstancesResult]):
    """Stop instances that are Running."""

    force_stop: bool | None = None
    stopped_mode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootInstancesResult(SwitchResult):
    """What came of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootInstances(InstancesSwitch[RebootInstancesResult]):
    """Restart instances that are Running."""

    force_reboot: bool | None = None
