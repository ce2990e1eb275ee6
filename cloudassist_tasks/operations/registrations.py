"""Instances as our own users register, see, reach and prepare them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from cloudassist_tasks.contract.extensions import (
    AddInstances,
    AddInstancesResult,
    ContactItem,
    DescribeRegistrations,
    DescribeRegistrationsResult,
    InstanceRegistration,
    PowerItem,
    PreparedItem,
    PrepareInstances,
    PrepareInstancesResult,
    ProbeInstances,
    ProbeInstancesResult,
    RegistrationItem,
    RemoveInstance,
    RemoveInstanceResult,
    SelectInstances,
    SelectInstancesResult,
)
from cloudassist_tasks.domain.errors import Kind, Refused, RunFailed
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import (
    ClientState,
    Contact,
    Instance,
    InstanceStatus,
    OsType,
    SshEngine,
    TransportKind,
    client_state,
)
from cloudassist_tasks.domain.pagination import PageRules, checked_page
from cloudassist_tasks.domain.power import PowerRecord
from cloudassist_tasks.domain.registration import check_new, checked_instance, jump_path
from cloudassist_tasks.domain.selector import NO_CONTACTS, Selector, select, targets
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.prepare import prepare, probe
from cloudassist_tasks.operations.instances import registered
from cloudassist_tasks.operations.listing import instance_page
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.values import filter_of, time_text

LONGEST_PROBE_S = 240
"""How long one call may ask; less than an endpoint waits for our own operations."""

PREPARED_AT_ONCE = 50
"""Instances prepared at the same time by one call."""

_PAGES = PageRules(largest=10_000, default=10_000)

NEVER_SWITCHED: Mapping[InstanceId, PowerRecord] = MappingProxyType({})

E = TypeVar("E", bound=StrEnum)


@implements(AddInstances)
async def add_instances(plane: Plane, request: AddInstances) -> AddInstancesResult:
    now_ms = plane.clock.now_ms()
    new = [
        replace(checked_instance(_instance(item, plane), plane.limits), registered_ms=now_ms)
        for item in request.instances
    ]
    known = await plane.store.instances.get_many(
        [*(instance.id for instance in new), *(instance.jump for instance in new if instance.jump)]
    )
    check_new(new, () if request.replace else known)
    by_id = {**known, **{instance.id: instance for instance in new}}
    for instance in new:
        jump_path(instance, by_id if instance.jump in (None, *by_id) else {})
    await plane.store.instances.add(new, replace=request.replace)
    return AddInstancesResult()


@implements(RemoveInstance)
async def remove_instance(plane: Plane, request: RemoveInstance) -> RemoveInstanceResult:
    await plane.store.instances.remove(InstanceId(request.instance_id))
    return RemoveInstanceResult()


@implements(DescribeRegistrations)
async def describe_registrations(plane: Plane, request: DescribeRegistrations) -> DescribeRegistrationsResult:
    wanted = checked_page(max_results=request.max_results, next_token=request.next_token, rules=_PAGES)
    selector = _selector(plane, request)
    chosen = await _chosen(plane, replace(selector, everything=True) if selector.empty else selector)
    page = instance_page(chosen, wanted)
    ids = [instance.id for instance in page.instances]
    contacts, power = await asyncio.gather(plane.store.instances.contacts(ids), plane.store.power.last(ids))
    return DescribeRegistrationsResult(
        registrations=_items(page.instances, contacts, power),
        next_token=page.next_token,
        total_count=page.total,
    )


@implements(SelectInstances)
async def select_instances(plane: Plane, request: SelectInstances) -> SelectInstancesResult:
    selector = _selector(plane, request)
    instances = await _candidates(plane, selector)
    contacts = await _contacts(plane, selector, instances)
    chosen = targets(selector, instances, contacts, at_most=plane.limits.max_instances)
    return SelectInstancesResult(instance_id=tuple(instance.id for instance in chosen))


@implements(ProbeInstances)
async def probe_instances(plane: Plane, request: ProbeInstances) -> ProbeInstancesResult:
    named = await _named(plane, request.instance_id)
    if not 1 <= request.within <= LONGEST_PROBE_S:
        raise Refused(Kind.BAD_VALUE, f"Within is {request.within} s; it must be from 1 to {LONGEST_PROBE_S}")
    contacts = await probe(plane, named, within_s=request.within)
    seen = await plane.store.instances.get_many([instance.id for instance in named])
    return ProbeInstancesResult(
        registrations=_items([seen.get(instance.id, instance) for instance in named], contacts)
    )


@implements(PrepareInstances)
async def prepare_instances(plane: Plane, request: PrepareInstances) -> PrepareInstancesResult:
    named = await _named(plane, request.instance_id)
    room = asyncio.Semaphore(PREPARED_AT_ONCE)

    async def one(instance: Instance) -> PreparedItem:
        async with room:
            return await _prepared(plane, instance)

    return PrepareInstancesResult(prepared=tuple(await asyncio.gather(*map(one, named))))


# -- selecting


async def _named(plane: Plane, ids: Sequence[str]) -> Sequence[Instance]:
    return await registered(plane, ids, plane.limits.max_instances)


def _selector(plane: Plane, request: DescribeRegistrations | SelectInstances) -> Selector:
    return Selector(
        ids=[InstanceId(instance_id) for instance_id in request.instance_id],
        names=request.name,
        tags=filter_of(request.tag, plane.limits),
        os_type=_word(OsType, "OSType", request.os_type) if request.os_type else None,
        status=_word(InstanceStatus, "Status", request.status) if request.status else None,
        client=_word(ClientState, "ClientStatus", request.client_status) if request.client_status else None,
        everything=request.all,
    )


async def _chosen(plane: Plane, selector: Selector) -> Sequence[Instance]:
    instances = await _candidates(plane, selector)
    return select(selector, instances, await _contacts(plane, selector, instances))


async def _candidates(plane: Plane, selector: Selector) -> Sequence[Instance]:
    if selector.ids:
        return tuple((await plane.store.instances.get_many(selector.ids)).values())
    return await plane.store.instances.all()


async def _contacts(
    plane: Plane, selector: Selector, instances: Sequence[Instance]
) -> Mapping[InstanceId, Contact]:
    """Read only where the selector looks at them."""
    if selector.client is None:
        return NO_CONTACTS
    return await plane.store.instances.contacts([instance.id for instance in instances])


# -- contract and domain


def _word(words: type[E], what: str, given: str) -> E:
    try:
        return words(given)
    except ValueError:
        raise Refused(
            Kind.BAD_VALUE, f"{what} {given[:40]!r} does not exist; there are {', '.join(words)}"
        ) from None


def _instance(item: InstanceRegistration, plane: Plane) -> Instance:
    if item.transport == TransportKind.LOCAL and not plane.settings.allow_local:
        raise Refused(
            Kind.NOT_PERMITTED,
            f"instance {item.instance_id[:64]}: local instances are off; set CLOUDASSIST_ALLOW_LOCAL=1",
        )
    try:
        return Instance(
            id=InstanceId(item.instance_id),
            host=item.host,
            port=item.port,
            user=item.user,
            name=item.name,
            os_type=_word(OsType, "os_type", item.os_type),
            identity=item.identity or None,
            password=item.password or None,
            host_key=item.host_key or None,
            trust_on_first_use=item.trust_on_first_use,
            jump=InstanceId(item.jump) if item.jump else None,
            transport=_word(TransportKind, "transport", item.transport),
            engine=_word(SshEngine, "engine", item.engine) if item.engine else None,
            legacy_algorithms=item.legacy_algorithms,
            remote_base=item.remote_base or None,
            tags=item.tags,
            power_commands=item.power_commands,
        )
    except Refused as refusal:
        raise Refused(Kind.BAD_INSTANCE, f"instance {item.instance_id[:64]}: {refusal.message}") from None


def _registration(instance: Instance) -> InstanceRegistration:
    return InstanceRegistration(
        instance_id=instance.id,
        host=instance.host,
        port=instance.port,
        user=instance.user,
        name=instance.name,
        os_type=instance.os_type,
        identity=instance.identity,
        password=instance.password,
        host_key=instance.host_key,
        trust_on_first_use=instance.trust_on_first_use,
        jump=instance.jump,
        transport=instance.transport,
        engine=instance.engine,
        legacy_algorithms=instance.legacy_algorithms,
        remote_base=instance.remote_base,
        tags=dict(instance.tags),
        power_commands=dict(instance.power_commands),
    )


def _items(
    instances: Sequence[Instance],
    contacts: Mapping[InstanceId, Contact],
    power: Mapping[InstanceId, PowerRecord] = NEVER_SWITCHED,
) -> Sequence[RegistrationItem]:
    return tuple(
        RegistrationItem(
            registration=_registration(instance),
            status=instance.status,
            creation_time=time_text(instance.registered_ms),
            contact=_contact_item(contacts[instance.id]),
            power=_power_item(power[instance.id]) if instance.id in power else None,
        )
        for instance in instances
    )


def _power_item(record: PowerRecord) -> PowerItem:
    return PowerItem(
        action=record.action,
        asked_time=time_text(record.asked_ms),
        end_time=time_text(record.ended_ms),
        error=record.error,
    )


def _contact_item(contact: Contact) -> ContactItem:
    seen = ContactItem(
        client_status=client_state(contact),
        last_contact_time=time_text(contact.last_contact_ms),
        last_invoked_time=time_text(contact.last_invoked_ms),
        last_error=contact.last_error,
        finished_runs=contact.finished_runs,
        active_runs=contact.active_runs,
        boot_id=contact.boot_id,
        zone=contact.zone,
    )
    facts = contact.facts
    if facts is None:
        return seen
    return replace(
        seen,
        helper_version=facts.helper_version,
        shell=facts.shell,
        login_user=facts.user,
        os=facts.os,
        sudo=facts.sudo,
    )


async def _prepared(plane: Plane, instance: Instance) -> PreparedItem:
    try:
        contact = await prepare(plane, instance)
    except RunFailed as failure:
        return PreparedItem(instance_id=instance.id, error_code=failure.code, error_info=failure.info)
    version = contact.facts.helper_version if contact.facts else ""
    return PreparedItem(instance_id=instance.id, helper_version=version)
