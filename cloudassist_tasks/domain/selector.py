"""Which instances are meant: by id, name, tag, system, state; all given criteria must hold.

Pure: the caller brings the registered instances and what is known of each. The order is by id, with
numbers in ids counted (i-2 before i-10), so that the same question gives the same batches.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import (
    NO_CONTACT,
    ClientState,
    Contact,
    Instance,
    InstanceStatus,
    OsType,
    client_state,
)
from cloudassist_tasks.domain.tags import TagFilter, tags_match
from cloudassist_tasks.domain.text import some_of
from cloudassist_tasks.domain.wildcard import matches

NO_FILTER: TagFilter = MappingProxyType({})

NO_CONTACTS: Mapping[InstanceId, Contact] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """What was asked for. One that asks for nothing selects nothing: it is refused."""

    ids: Sequence[InstanceId] = ()
    """Any of these; each must be registered."""
    names: Sequence[str] = ()
    """Any of these, `*` allowed."""
    tags: TagFilter = field(default_factory=lambda: NO_FILTER)
    """All of these; a key with None matches any value."""
    os_type: OsType | None = None
    status: InstanceStatus | None = None
    client: ClientState | None = None
    everything: bool = False
    """All instances (that fit the other criteria). Not together with `ids`."""

    @property
    def empty(self) -> bool:
        """Nothing was asked for."""
        criteria = (self.ids, self.names, self.tags, self.os_type, self.status, self.client, self.everything)
        return not any(criteria)


def select(
    selector: Selector,
    instances: Iterable[Instance],
    contacts: Mapping[InstanceId, Contact] = NO_CONTACTS,
) -> list[Instance]:
    """The instances that fit, in order; possibly none.

    `Refused` MISSING_INSTANCES, TARGETS_CONFLICT, INSTANCE_NOT_FOUND (naming the unknown ids)."""
    if selector.empty:
        raise Refused(
            Kind.MISSING_INSTANCES, "no instance was named; give ids, names or tags, or ask for all of them"
        )
    if selector.ids and selector.everything:
        raise Refused(Kind.TARGETS_CONFLICT, "either some ids or all instances, not both")
    by_id = {instance.id: instance for instance in instances}
    chosen = _by_ids(selector.ids, by_id) if selector.ids else by_id.values()
    fitting = (one for one in chosen if _fits(selector, one, contacts.get(one.id, NO_CONTACT)))
    return sorted(fitting, key=lambda instance: natural_order(instance.id))


def targets(
    selector: Selector,
    instances: Iterable[Instance],
    contacts: Mapping[InstanceId, Contact] = NO_CONTACTS,
    *,
    at_most: int,
) -> list[Instance]:
    """The instances to run on: as `select`, but at least one. `Refused` also NO_INSTANCE_MATCHES,
    TOO_MANY_INSTANCES."""
    chosen = select(selector, instances, contacts)
    if not chosen:
        raise Refused(Kind.NO_INSTANCE_MATCHES, "no instance fits; see which there are with `instance ls`")
    check_count(len(chosen), at_most)
    return chosen


def check_count(count: int, at_most: int) -> None:
    """`Refused(TOO_MANY_INSTANCES)`."""
    if count > at_most:
        raise Refused(
            Kind.TOO_MANY_INSTANCES,
            f"{count:,} instances, the limit of one call is {at_most:,}; select fewer",
        )


def check_ids_or_tags(ids: Sequence[str], tags: TagFilter) -> None:
    """The vendor's rule: exactly one of the two. `Refused` TARGETS_CONFLICT, MISSING_INSTANCES."""
    if ids and tags:
        raise Refused(Kind.TARGETS_CONFLICT, "InstanceId and ResourceTag were both given; keep one of them")
    if not ids and not tags:
        raise Refused(Kind.MISSING_INSTANCES, "no instance was named; give InstanceId or ResourceTag")


@lru_cache(maxsize=32_768)
def natural_order(instance_id: str) -> tuple[tuple[str | int, ...], str]:
    """Sorts i-2 before i-10; the id itself decides between i-2 and i-02."""
    parts = re.split(r"([0-9]+)", instance_id)
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts)), instance_id


def _by_ids(ids: Sequence[InstanceId], by_id: Mapping[InstanceId, Instance]) -> list[Instance]:
    wanted = list(dict.fromkeys(ids))
    unknown = [instance_id for instance_id in wanted if instance_id not in by_id]
    if unknown:
        raise Refused(
            Kind.INSTANCE_NOT_FOUND,
            f"not registered: {some_of(unknown)}; see `instance ls` and `instance add`",
        )
    return [by_id[instance_id] for instance_id in wanted]


def _fits(selector: Selector, instance: Instance, contact: Contact) -> bool:
    return (
        (not selector.names or any(matches(pattern, instance.name) for pattern in selector.names))
        and tags_match(selector.tags, instance.tags)
        and selector.os_type in (None, instance.os_type)
        and selector.status in (None, instance.status)
        and selector.client in (None, client_state(contact))
    )
