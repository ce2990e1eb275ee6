"""Read the zone of a schedule off its hosts, where that is the zone that was asked for.

Called when a schedule is opened, and when its Frequency or its instances are changed; never by a beat. What
is found is kept with the schedule, which stays in that zone whatever becomes of its hosts' clocks.
"""

from collections.abc import Sequence
from dataclasses import replace

from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import InvocationSpec
from cloudassist_tasks.domain.schedule import needs_zone
from cloudassist_tasks.domain.schedule.host_zones import agreed_zone, check_in_zone
from cloudassist_tasks.domain.schedule.refusing import bad_frequency
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import times_of
from cloudassist_tasks.engine.prepare import probe

WITHIN_S = 5.0
"""How long hosts are asked, all together; one that does not answer counts with the zone it had last."""

NO_MATTER = "UTC"
"""The zone of an expression that depends on none."""

CHUNK = 1_000


async def zone_of_hosts(plane: Plane, frequency: str, instances: Sequence[Instance]) -> str:
    """The one zone of these instances, asked now. `Refused(BAD_FREQUENCY)` if they have several, or one's is
    not known."""
    if not needs_zone(frequency):
        return NO_MATTER
    return agreed_zone(await probe(plane, instances, within_s=WITHIN_S))


async def in_hosts_zone(
    plane: Plane, before: InvocationSpec, spec: InvocationSpec, added: Sequence[Instance]
) -> InvocationSpec:
    """A schedule that is being changed, in the right zone if that is its hosts': read anew with another
    Frequency; otherwise it stays, and added instances must be in it. `Refused(BAD_FREQUENCY)`."""
    if not spec.zone_of_hosts or not needs_zone(spec.frequency):
        return spec
    if spec.frequency == before.frequency:
        check_in_zone(spec.zone, await probe(plane, added, within_s=WITHIN_S))
        return spec
    all_ = {instance.id: instance for instance in [*await _members(plane, spec.id), *added]}
    zone = await zone_of_hosts(plane, spec.frequency, list(all_.values()))
    spec = replace(spec, zone=zone)
    if times_of(spec.timing).next_after(plane.clock.now_ms()) is None:
        raise bad_frequency(f"{spec.frequency} has no time to come in {zone}; give a later one")
    return spec


async def _members(plane: Plane, invoke_id: InvokeId) -> list[Instance]:
    """Those that are still registered and have not left it."""
    found: list[Instance] = []
    start = 0
    while members := await plane.store.invocations.members(invoke_id, start=start, limit=CHUNK):
        start += len(members)
        staying = await plane.store.schedules.staying(invoke_id, members)
        found += (await plane.store.instances.get_many(staying)).values()
    return found
