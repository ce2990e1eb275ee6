"""Instances as the vendor's users see them: listed, their state, whether the assistant can use them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cloudassist_tasks.contract.operation import Result, TagItem, Wire
from cloudassist_tasks.contract.paging import Listing, PagedOperation, PagedResult
from cloudassist_tasks.contract.regional import RegionalOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcAttributes:
    private_ip_address: Annotated[Sequence[str], Wire(item="IpAddress")] = ()
    """The address or name that the instance is reached at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceItem:
    """The part of the vendor's description that means something for a machine of yours."""

    instance_id: str
    instance_name: str
    status: str
    """Pending, Starting, Running, Stopping, Stopped."""
    os_type: Annotated[str, Wire(name="OSType")]
    """linux, windows."""
    os_name: Annotated[str, Wire(name="OSName")] = ""
    """As the last contact showed it."""
    os_name_en: Annotated[str, Wire(name="OSNameEn")] = ""
    host_name: str = ""
    region_id: str = ""
    creation_time: str = ""
    """When it was registered."""
    zone_id: str = ""
    resource_group_id: str = ""
    instance_network_type: str = "vpc"
    vpc_attributes: VpcAttributes = VpcAttributes()
    public_ip_address: Annotated[Sequence[str], Wire(item="IpAddress")] = ()
    """The address that it is reached at, if that is one of the internet's."""
    tags: Annotated[Sequence[TagItem], Wire(item="Tag")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInstancesResult(PagedResult):
    instances: Annotated[Sequence[InstanceItem], Wire(item="Instance")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInstances(Listing[DescribeInstancesResult]):
    """List instances, by id. All filters must hold. MaxResults is 10 to 100 here; what is out of it is moved
    there."""

    instance_ids: str | None = None
    """A text that holds a JSON array of at most 100 ids."""
    instance_name: str | None = None
    """`*` is a wildcard."""
    status: str | None = None
    private_ip_addresses: str | None = None
    """A text that holds a JSON array."""
    public_ip_addresses: str | None = None
    vpc_id: str | None = None
    """No machine here has a network, a zone or a group of the vendor's: such a filter finds none."""
    zone_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatusItem:
    instance_id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInstanceStatusResult(Result):
    instance_statuses: Annotated[Sequence[InstanceStatusItem], Wire(item="InstanceStatus")] = ()
    page_number: int = 0
    page_size: int = 0
    total_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInstanceStatus(RegionalOperation[DescribeInstanceStatusResult]):
    """The power states of instances."""

    instance_id: Sequence[str] = ()
    cluster_id: str | None = None
    zone_id: str | None = None
    page_number: int | None = None
    page_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceCloudAssistantStatus:
    instance_id: str
    cloud_assistant_status: str
    """`"true"` if the instance was reached within the last 2 minutes, else `"false"`."""
    cloud_assistant_version: str = ""
    """Of the helper on the instance; empty while it is not prepared."""
    last_heartbeat_time: str = ""
    """Of the last contact that worked."""
    last_invoked_time: str = ""
    invocation_count: int = 0
    """Runs that have ended."""
    active_task_count: int = 0
    """Runs that have not."""
    os_type: Annotated[str, Wire(name="OSType")] = ""
    support_session_manager: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeCloudAssistantStatusResult(PagedResult):
    instance_cloud_assistant_status_set: Annotated[
        Sequence[InstanceCloudAssistantStatus], Wire(item="InstanceCloudAssistantStatus")
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeCloudAssistantStatus(PagedOperation[DescribeCloudAssistantStatusResult]):
    """Whether instances can be used. Named ones that were not heard of for 2 minutes are asked now."""

    instance_id: Sequence[str] = ()
    """Paging is ignored when it is given."""
    os_type: Annotated[str | None, Wire(name="OSType")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallCloudAssistantResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallCloudAssistant(RegionalOperation[InstallCloudAssistantResult]):
    """Prepare instances in the background; no reboot is needed."""

    instance_id: Sequence[str]
