"""Instances as the vendor's users see them."""

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence

from cloudassist_tasks.contract.instances import (
    DescribeCloudAssistantStatus,
    DescribeCloudAssistantStatusResult,
    DescribeInstances,
    DescribeInstancesResult,
    DescribeInstanceStatus,
    DescribeInstanceStatusResult,
    InstallCloudAssistant,
    InstallCloudAssistantResult,
    InstanceCloudAssistantStatus,
    InstanceItem,
    InstanceStatusItem,
    VpcAttributes,
)
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact, Instance, InstanceStatus
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.pagination import (
    DESCRIBE_INSTANCES,
    PageRules,
    checked_page,
)
from cloudassist_tasks.domain.selector import Selector, check_count, select
from cloudassist_tasks.domain.tags import tags_match
from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.prepare import probe
from cloudassist_tasks.operations.listing import instance_page
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.values import filter_of, tag_items, time_text

PROBE_WITHIN_S = 5.0
"""How long named instances are asked, all together. A caller of the API waits 10 s at most."""

_STATUS_PAGES = PageRules(largest=50)


@implements(DescribeInstances)
async def describe_instances(plane: Plane, request: DescribeInstances) -> DescribeInstancesResult:
    wanted = checked_page(
        max_results=request.max_results,
        next_token=request.next_token,
        page_number=request.page_number,
        page_size=request.page_size,
        rules=DESCRIBE_INSTANCES,
    )
    fits = _filter(request, plane.limits)
    ids = _texts("InstanceIds", request.instance_ids)
    if ids is None:
        candidates = await plane.store.instances.all()
    else:
        candidates = tuple((await plane.store.instances.get_many([InstanceId(id_) for id_ in ids])).values())
    page = instance_page([instance for instance in candidates if fits(instance)], wanted)
    contacts = await plane.store.instances.contacts([instance.id for instance in page.instances])
    region = plane.settings.region
    return DescribeInstancesResult(
        instances=tuple(_item(instance, contacts[instance.id], region) for instance in page.instances),
        next_token=page.next_token,
        page_number=page.number,
        page_size=page.size,
        total_count=page.total,
    )


@implements(DescribeInstanceStatus)
async def describe_instance_status(
    plane: Plane, request: DescribeInstanceStatus
) -> DescribeInstanceStatusResult:
    wanted = checked_page(page_number=request.page_number, page_size=request.page_size, rules=_STATUS_PAGES)
    if request.zone_id:
        raise Refused(Kind.ZONE_NOT_FOUND, "there are no zones here; leave ZoneId out")
    ids = [InstanceId(instance_id) for instance_id in dict.fromkeys(request.instance_id)]
    check_count(len(ids), plane.limits.instances_per_status)
    if ids:
        found: Sequence[Instance] = tuple((await plane.store.instances.get_many(ids)).values())
    else:
        found = await plane.store.instances.all()
    page = instance_page(found, wanted)
    return DescribeInstanceStatusResult(
        instance_statuses=tuple(
            InstanceStatusItem(instance_id=instance.id, status=instance.status) for instance in page.instances
        ),
        page_number=page.number,
        page_size=page.size,
        total_count=page.total,
    )


@implements(DescribeCloudAssistantStatus)
async def describe_cloud_assistant_status(
    plane: Plane, request: DescribeCloudAssistantStatus
) -> DescribeCloudAssistantStatusResult:
    wanted = checked_page(
        max_results=request.max_results,
        next_token=request.next_token,
        page_number=request.page_number,
        page_size=request.page_size,
    )
    if request.instance_id:
        named = _of_os(
            await registered(plane, request.instance_id, plane.limits.instances_per_status), request.os_type
        )
        contacts = await _live_contacts(plane, named)
        shown = tuple(_assistant_item(plane, instance, contacts[instance.id]) for instance in named)
        return DescribeCloudAssistantStatusResult(
            instance_cloud_assistant_status_set=shown,
            page_number=1,
            page_size=len(shown),
            total_count=len(shown),
        )
    page = instance_page(_of_os(await plane.store.instances.all(), request.os_type), wanted)
    contacts = await plane.store.instances.contacts([instance.id for instance in page.instances])
    return DescribeCloudAssistantStatusResult(
        instance_cloud_assistant_status_set=tuple(
            _assistant_item(plane, instance, contacts[instance.id]) for instance in page.instances
        ),
        next_token=page.next_token,
        page_number=page.number,
        page_size=page.size,
        total_count=page.total,
    )


@implements(InstallCloudAssistant)
async def install_cloud_assistant(
    plane: Plane, request: InstallCloudAssistant
) -> InstallCloudAssistantResult:
    if not request.instance_id:
        raise Refused(Kind.MISSING_INSTANCES, "no instance was named; give InstanceId")
    named = await registered(plane, request.instance_id, plane.limits.instances_per_install)
    await plane.dispatch.publish_prepare([instance.id for instance in named])
    return InstallCloudAssistantResult()


async def registered(plane: Plane, ids: Sequence[str], at_most: int) -> Sequence[Instance]:
    """The named instances, each once. `Refused` TOO_MANY_INSTANCES, INSTANCE_NOT_FOUND."""
    wanted = [InstanceId(instance_id) for instance_id in dict.fromkeys(ids)]
    check_count(len(wanted), at_most)
    known = await plane.store.instances.get_many(wanted)
    return select(Selector(ids=wanted), known.values())


# -- DescribeInstances


def _filter(request: DescribeInstances, limits: Limits) -> Callable[[Instance], bool]:
    ids = _texts("InstanceIds", request.instance_ids)
    addresses = _texts("PrivateIpAddresses", request.private_ip_addresses)
    public = _texts("PublicIpAddresses", request.public_ip_addresses)
    status = _status(request.status)
    nowhere = request.vpc_id or request.zone_id or request.resource_group_id
    tags = filter_of(request.tag, limits)
    check_count(len(ids or ()), DESCRIBE_INSTANCES.largest)

    def fits(instance: Instance) -> bool:
        return (
            not nowhere
            and (ids is None or instance.id in ids)
            and (public is None or (instance.host in public and _is_public(instance.host)))
            and (addresses is None or instance.host in addresses)
            and (not request.instance_name or matches(request.instance_name, instance.name))
            and status in (None, instance.status)
            and tags_match(tags, instance.tags)
        )

    return fits


def _status(wanted: str | None) -> InstanceStatus | None:
    try:
        return InstanceStatus(wanted) if wanted else None
    except ValueError:
        raise Refused(
            Kind.INSTANCE_STATUS_NOT_FOUND,
            f"Status {str(wanted)[:40]!r} does not exist; there are {', '.join(InstanceStatus)}",
        ) from None


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:  # a name
        return False


def _texts(name: str, text: str | None) -> frozenset[str] | None:
    """A JSON array of texts; None where there is no filter."""
    if not text:
        return None
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    if not (isinstance(parsed, list) and all(isinstance(one, str) for one in parsed)):
        raise Refused(Kind.BAD_VALUE, f'{name} must be a text like ["i-1", "i-2"]')
    return frozenset(parsed)


def _item(instance: Instance, contact: Contact, region: str) -> InstanceItem:
    os_name = contact.facts.os if contact.facts else ""
    return InstanceItem(
        instance_id=instance.id,
        instance_name=instance.name,
        status=instance.status,
        os_type=instance.os_type,
        os_name=os_name,
        os_name_en=os_name,
        host_name=instance.host,
        region_id=region,
        creation_time=time_text(instance.registered_ms),
        vpc_attributes=VpcAttributes(private_ip_address=(instance.host,)),
        public_ip_address=(instance.host,) if _is_public(instance.host) else (),
        tags=tag_items(instance.tags),
    )


# -- DescribeCloudAssistantStatus


def _of_os(instances: Sequence[Instance], os_type: str | None) -> Sequence[Instance]:
    return [one for one in instances if not os_type or one.os_type == os_type.lower()]


async def _live_contacts(plane: Plane, named: Sequence[Instance]) -> Mapping[InstanceId, Contact]:
    """What is known of them; those not heard of lately are asked now."""
    known = await plane.store.instances.contacts([instance.id for instance in named])
    silent = [instance for instance in named if not _online(plane, known[instance.id])]
    if not silent:
        return known
    return {**known, **await probe(plane, silent, within_s=PROBE_WITHIN_S)}


def _online(plane: Plane, contact: Contact) -> bool:
    age_ms = plane.clock.now_ms() - contact.last_contact_ms
    return (
        bool(contact.last_contact_ms) and not contact.last_error and age_ms <= 1_000 * plane.limits.online_s
    )


def _assistant_item(plane: Plane, instance: Instance, contact: Contact) -> InstanceCloudAssistantStatus:
    return InstanceCloudAssistantStatus(
        instance_id=instance.id,
        cloud_assistant_status="true" if _online(plane, contact) else "false",
        cloud_assistant_version=contact.facts.helper_version if contact.facts else "",
        last_heartbeat_time=time_text(contact.last_contact_ms),
        last_invoked_time=time_text(contact.last_invoked_ms),
        invocation_count=contact.finished_runs,
        active_task_count=contact.active_runs,
        os_type=instance.os_type,
    )
