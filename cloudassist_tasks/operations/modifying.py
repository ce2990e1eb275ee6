"""Change what repeats, from its next round on: the script, its values, when it runs, and where.

A call may be repeated: with the same ClientToken it answers as it did the first time, and changes nothing,
whatever was changed by others meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cloudassist_tasks.contract.invocations import ModifyInvocationAttribute, ModifyInvocationAttributeResult
from cloudassist_tasks.domain.command import Command, checked_command
from cloudassist_tasks.domain.content import decoded_content, parameter_names
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import Invocation, InvocationSpec, RepeatMode, Repetition
from cloudassist_tasks.domain.parameters import values_from_mapping
from cloudassist_tasks.domain.schedule.host_zones import OF_HOSTS
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.engine.hosts_zone import in_hosts_zone
from cloudassist_tasks.engine.launch import check_os, check_parameters, targets
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.planning import due_ms
from cloudassist_tasks.engine.retime import TRIES, next_tick, overlooked, standing_ms, unsteady
from cloudassist_tasks.operations.periods import jitter_of, schedule_of, timeout_of
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.repetition import done_before, request_hash, token_of
from cloudassist_tasks.operations.values import wants_base64
from cloudassist_tasks.ports.schedules import Overlooked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a request makes of a schedule as it stands."""

    invocation: Invocation
    spec: InvocationSpec
    added: Sequence[InstanceId]
    """That it does not have yet."""

    @property
    def is_of_spec(self) -> bool:
        return self.spec != self.invocation.spec

    @property
    def is_of_times(self) -> bool:
        return self.spec.frequency != self.invocation.spec.frequency

    @property
    def is_any(self) -> bool:
        return self.is_of_spec or bool(self.added)


@implements(ModifyInvocationAttribute)
async def modify_invocation_attribute(
    plane: Plane, request: ModifyInvocationAttribute
) -> ModifyInvocationAttributeResult:
    for _ in range(TRIES):
        if (earlier := await done_before(plane, request, request.client_token)) is not None:
            return ModifyInvocationAttributeResult(command_id=earlier.command_id)
        stands_ms = await standing_ms(plane, InvokeId(request.invoke_id)) if request.frequency else None
        change = await _change(plane, request)
        if not (change.is_any or request.client_token) or await _made(plane, request, change, stands_ms):
            return ModifyInvocationAttributeResult(command_id=change.spec.command.id)
    raise unsteady(request.invoke_id)


async def _change(plane: Plane, request: ModifyInvocationAttribute) -> _Change:
    """Checked: it may be made of the schedule as it stands now. `Refused`."""
    instances = await _added(plane, request)
    invocation = await _changeable(plane, request)
    before = invocation.spec
    check_os(before.command, instances)
    spec = await _changed(plane, request, before)
    strangers = await plane.store.invocations.not_members(before.id, [one.id for one in instances])
    if invocation.total + len(strangers) > plane.limits.max_instances:
        raise Refused(
            Kind.TOO_MANY_INSTANCES, f"an invocation may have {plane.limits.max_instances} instances"
        )
    change = _Change(invocation=invocation, spec=spec, added=strangers)
    if change.is_any:
        new = set(strangers)
        added = [one for one in instances if one.id in new]
        change = replace(change, spec=await in_hosts_zone(plane, before, spec, added))
    return change


async def _made(
    plane: Plane, request: ModifyInvocationAttribute, change: _Change, stands_ms: int | None
) -> bool:
    """In one step, with the token. False: it stands no more as it stood, or the token was used by now."""
    spec, before, repetition = change.spec, change.invocation.spec, change.invocation.repetition
    assert repetition is not None
    left: Overlooked | None = Overlooked(due_ms=None)
    if change.is_of_times:
        left = await overlooked(plane, change.invocation, stands_ms)
    if left is None:
        return False
    now_ms = plane.clock.now_ms()
    tick_ms = _next_tick(change, repetition, now_ms) if change.is_of_times else None
    is_new = spec.command.id != before.command.id
    return await plane.store.schedules.modify(
        spec,
        version=repetition.version + change.is_of_spec,
        changed=change.is_of_spec,
        added=change.added,
        next_ms=due_ms(spec.id, spec.timing, tick_ms),
        tick_ms=tick_ms or 0,
        now_ms=now_ms,
        overlooked=left,
        keep_with_quota=plane.limits.commands if is_new and spec.command.kept else 0,
        token=token_of(request, request.client_token),
        request_hash=request_hash(request, request.client_token),
        token_ttl_s=plane.limits.client_token_s,
    )


def _next_tick(change: _Change, repetition: Repetition, now_ms: int) -> int:
    """`Refused(BAD_FREQUENCY)` where the clock was put back behind what was fired already."""
    spec = change.spec
    tick_ms = next_tick(spec.id, spec.timing, repetition, now_ms=now_ms)
    if tick_ms is None:
        raise Refused(
            Kind.BAD_FREQUENCY,
            f"{spec.frequency} has no time after those that {spec.id} ran at; give another",
        )
    return tick_ms


async def _added(plane: Plane, request: ModifyInvocationAttribute) -> Sequence[Instance]:
    if not request.instance_id:
        return []
    ids = [InstanceId(one) for one in request.instance_id]
    return await targets(plane, ids, at_most=plane.limits.instances_per_call)


async def _changeable(plane: Plane, request: ModifyInvocationAttribute) -> Invocation:
    invocation = await plane.store.invocations.get(InvokeId(request.invoke_id))
    if invocation is None:
        raise Refused(
            Kind.INVOCATION_NOT_FOUND,
            f"no invocation {request.invoke_id[:64]}; see `cloudassist schedule ls`",
        )
    mode = invocation.spec.repeat_mode
    if invocation.repetition is None or (request.frequency and mode is not RepeatMode.PERIOD):
        raise Refused(
            Kind.DOES_NOT_REPEAT, f"{invocation.spec.id} has RepeatMode {mode}; that cannot be changed of it"
        )
    if invocation.finish_ms or invocation.repetition.ended:
        raise Refused(Kind.INVOCATION_FINISHED, f"{invocation.spec.id} has ended; begin a new one")
    return invocation


async def _changed(plane: Plane, request: ModifyInvocationAttribute, spec: InvocationSpec) -> InvocationSpec:
    command = await _command(plane, request, spec.command)
    given = None if request.parameters is None else values_from_mapping(request.parameters)
    if given is None:
        names = parameter_names(command.content.reveal(), plane.limits, enabled=command.enable_parameter)
        values: Mapping[str, str] = _kept(spec.parameters.reveal(), names)
    else:
        values = given
    check_parameters(plane, command, values)
    spec = replace(spec, command=command, parameters=Secret(dict(values)))
    if request.frequency and request.frequency != spec.frequency:
        spec = _with_frequency(plane, spec, request.frequency)
    return spec


def _with_frequency(plane: Plane, spec: InvocationSpec, frequency: str) -> InvocationSpec:
    """A Timeout that was given must fit it, one that was left out follows it. `Refused(BAD_FREQUENCY)`."""
    zone = OF_HOSTS if spec.zone_of_hosts else spec.zone
    schedule = schedule_of(plane, frequency, zone=zone, created_ms=spec.created_ms)
    asked_s = None if spec.timeout_left_out else spec.timeout_s
    timeout_s = timeout_of(plane, schedule, asked_s, otherwise_s=spec.command.timeout_s)
    jitter_of(plane, schedule, spec.jitter_s)
    return replace(spec, frequency=frequency, timeout_s=timeout_s)


def _kept(values: Mapping[str, str], names: Iterable[str]) -> Mapping[str, str]:
    """The values that the content still has names for."""
    known = {name.lower() for name in names}
    return {name: value for name, value in values.items() if name.lower() in known}


async def _command(plane: Plane, request: ModifyInvocationAttribute, command: Command) -> Command:
    """Where the content differs another one, with all else of it, kept if it is; else the same."""
    enabled = command.enable_parameter if request.enable_parameter is None else request.enable_parameter
    content = command.content.reveal()
    if request.command_content:
        is_base64 = wants_base64(request.content_encoding, default=False)
        content = decoded_content(request.command_content, is_base64=is_base64)
    is_new = content != command.content.reveal()
    if not is_new and enabled == command.enable_parameter:
        return command
    tagged = await plane.store.commands.get(command.id) if is_new and command.kept else None
    return checked_command(
        id=CommandId(plane.new_id("c-")) if is_new else command.id,
        type=command.type,
        content=content,
        name=command.name,
        description=command.description,
        working_dir=command.working_dir,
        timeout_s=command.timeout_s,
        enable_parameter=enabled,
        launcher=command.launcher,
        tags=tagged.tags if tagged else command.tags,
        resource_group=command.resource_group,
        kept=command.kept,
        created_ms=plane.clock.now_ms() if is_new else command.created_ms,
        limits=plane.limits,
    )
