"""Open an invocation and publish its first batches.

Called by the operations RunCommand, InvokeCommand and SendFile and by `retry`. Everything that can be
refused is refused before the one step that opens it; after that step the caller has an id that is never lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cloudassist_tasks.domain.caps import NO_CAPS, Caps
from cloudassist_tasks.domain.command import Command, TerminationMode
from cloudassist_tasks.domain.content import check_size, parameter_names
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.file import FileSpec
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.instance import NO_TAGS, Instance
from cloudassist_tasks.domain.invocation import AGAIN, InvocationSpec, Misfire, RepeatMode
from cloudassist_tasks.domain.parameters import NO_VALUES, check_values
from cloudassist_tasks.domain.schedule.host_zones import OF_HOSTS
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.engine import publish
from cloudassist_tasks.engine.hosts_zone import zone_of_hosts
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import due_ms, times_of
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.invocations import Opened, Opening

UNLIMITED = 2**53
"""More than ever happens in a day, and still exact in the store's numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What is to be run where. Texts and numbers are checked already (domain/command.py)."""

    command: Command
    keep: bool = False
    """Keep the command too, in the same step; it counts against the commands' quota."""
    instance_ids: Sequence[InstanceId]
    parameters: Mapping[str, str] | None = None
    """None: no Parameters were given at all."""
    parameters_needed: bool = False
    """Whether a command with custom names may not go without Parameters (InvokeCommand)."""
    timeout_s: int
    timeout_left_out: bool = False
    working_dir: str = ""
    username: str = ""
    launcher: str = ""
    termination_mode: TerminationMode = TerminationMode.PROCESS_TREE
    repeat_mode: RepeatMode = RepeatMode.ONCE
    frequency: str = ""
    """With Period, checked: when it runs …"""
    zone: str = "UTC"
    """… in the zone of a cron expression that names none, `instance`: that of the instances …"""
    misfire: Misfire = Misfire.SKIP
    jitter_s: int = 0
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    resource_group: str = ""
    caps: Caps = NO_CAPS
    callback: Callback | None = None
    """The task of another app that is told of the close."""
    webhook: str = field(default="", repr=False)
    """The URL that is told of the close; empty: none."""
    token: str = ""
    """ClientToken with its scope; empty: none."""
    request_hash: str = ""
    file: FileSpec | None = None
    """The file that `command` places; such an invocation counts against no quota."""
    retry_of: InvokeId | None = None
    max_instances: int


async def launch(plane: Plane, request: LaunchRequest) -> Opened:
    """Open and publish. `Refused` with the first fault found: nothing was done then. A token that was used
    before gives what was opened then. `Broken` if store or broker are away."""
    if request.file is None:
        check_parameters(plane, request.command, request.parameters, needed=request.parameters_needed)
    instances = await targets(plane, request.instance_ids, at_most=request.max_instances)
    check_os(request.command, instances, for_file=request.file is not None)
    await plane.dispatch.waiting()  # a broker that is away is said now, not after the opening
    zone = request.zone
    if zone == OF_HOSTS:
        zone = await zone_of_hosts(plane, request.frequency, instances)

    now_ms = plane.clock.now_ms()
    opening = _opening(plane, request, instances, zone, now_ms)
    opened = await plane.store.invocations.open(opening, now_ms=now_ms)
    if not opened.repeated:
        log("invocation_opened", invoke_id=opened.invoke_id, instances=len(instances))
        if request.repeat_mode in AGAIN:
            return opened
        express = len(instances) <= plane.limits.express_instances
        await publish.refill(plane, opened.invoke_id, express=express, first=True)
    return opened


def check_parameters(
    plane: Plane, command: Command, values: Mapping[str, str] | None, *, needed: bool = False
) -> None:
    """What is passed to the command, and the size of both. `Refused`."""
    limits = plane.limits
    content = command.content.reveal()
    names = parameter_names(content, limits, enabled=command.enable_parameter)
    check_values(
        names,
        values,
        enabled=command.enable_parameter,
        limits=limits,
        needed=needed,
    )
    check_size(content, limits, values=values or NO_VALUES, substituted=command.enable_parameter)


async def targets(plane: Plane, wanted: Sequence[InstanceId], *, at_most: int) -> Sequence[Instance]:
    """The instances, each once, in the order asked for; all are known. `Refused`."""
    ids = list(dict.fromkeys(wanted))
    if not ids:
        raise Refused(Kind.MISSING_INSTANCES, "no instance was given; name one, or a tag")
    if len(ids) > at_most:
        raise Refused(
            Kind.TOO_MANY_INSTANCES,
            f"{len(ids)} instances in one call, the limit is {at_most}; make several calls",
        )
    known = await plane.store.instances.get_many(ids)
    if unknown := [instance_id for instance_id in ids if instance_id not in known]:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise Refused(
            Kind.INSTANCE_NOT_FOUND,
            f"no instance {', '.join(unknown[:3])}{more}; see `cloudassist instance ls`",
        )
    return [known[instance_id] for instance_id in ids]


def check_os(command: Command, instances: Sequence[Instance], *, for_file: bool = False) -> None:
    """`Refused(WRONG_OS)`."""
    command_type = command.type
    what = "files cannot be sent yet to" if for_file else f"{command_type} does not run on"
    for instance in instances:
        if not command_type.fits(instance.os_type):
            raise Refused(Kind.WRONG_OS, f"{what} {instance.id}, which has {instance.os_type}; leave it out")


def _first_tick(spec: InvocationSpec, now_ms: int) -> int | None:
    """Of what is periodic."""
    if spec.repeat_mode is not RepeatMode.PERIOD:
        return None
    first_ms = times_of(spec.timing).next_after(now_ms)
    if first_ms is None:
        raise Refused(Kind.BAD_FREQUENCY, f"{spec.frequency} has no time to come; give a later one")
    return first_ms


def _opening(
    plane: Plane, request: LaunchRequest, instances: Sequence[Instance], zone: str, now_ms: int
) -> Opening:
    limits = plane.limits
    kept = request.keep or request.command.kept
    spec = InvocationSpec(
        id=InvokeId(plane.new_id("t-" if request.file is None else "f-")),
        command=replace(request.command, kept=kept),
        parameters=Secret(dict(request.parameters or {})),
        timeout_s=request.timeout_s,
        timeout_left_out=request.timeout_left_out,
        working_dir=request.working_dir,
        username=request.username,
        launcher=request.launcher,
        termination_mode=request.termination_mode,
        repeat_mode=request.repeat_mode,
        frequency=request.frequency,
        zone=zone,
        zone_of_hosts=request.zone == OF_HOSTS,
        misfire=request.misfire,
        jitter_s=request.jitter_s,
        tags=request.tags,
        resource_group=request.resource_group,
        caps=request.caps,
        callback=request.callback,
        webhook=request.webhook,
        file=request.file,
        retry_of=request.retry_of,
        created_ms=now_ms,
    )
    tick_ms = _first_tick(spec, now_ms)
    quota_zone = ZoneInfo(plane.settings.quota_zone)
    day = datetime.fromtimestamp(now_ms / 1_000, UTC).astimezone(quota_zone).strftime("%Y-%m-%d")
    return Opening(
        spec=spec,
        members=[instance.id for instance in instances],
        day=day if request.file is None else f"{day}.files",
        daily_quota=limits.invocations_per_day if request.file is None else UNLIMITED,
        due_ms=due_ms(spec.id, spec.timing, tick_ms),
        tick_ms=tick_ms or 0,
        token=request.token,
        request_hash=request.request_hash,
        token_ttl_s=limits.client_token_s,
        kept_command=kept,
        keep_with_quota=limits.commands if request.keep else 0,
    )
