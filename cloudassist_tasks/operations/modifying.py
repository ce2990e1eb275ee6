"""Change what repeats, from its next round on: the script, its values, when it runs, and where."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cloudassist_tasks.contract.invocations import ModifyInvocationAttribute, ModifyInvocationAttributeResult
from cloudassist_tasks.domain.command import Command, checked_command
from cloudassist_tasks.domain.content import decoded_content, parameter_names
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import Invocation, InvocationSpec, RepeatMode
from cloudassist_tasks.domain.parameters import values_from_mapping
from cloudassist_tasks.domain.schedule import fitting_timeout_s
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.tokens import check_client_token
from cloudassist_tasks.engine.fire import due_ms, times_of
from cloudassist_tasks.engine.launch import check_os, check_parameters, targets
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.periods import jitter_of, schedule_of
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.values import wants_base64

TRIES = 5
"""Somebody else may change it at the same moment."""


@implements(ModifyInvocationAttribute)
async def modify_invocation_attribute(
    plane: Plane, request: ModifyInvocationAttribute
) -> ModifyInvocationAttributeResult:
    if request.client_token:
        check_client_token(request.client_token, plane.limits)
    added = await _added(plane, request)
    for _ in range(TRIES):
        invocation = await _changeable(plane, request)
        before = invocation.spec
        check_os(before.command, added)
        spec = _changed(plane, request, before)
        strangers = await plane.store.invocations.not_members(before.id, [one.id for one in added])
        if spec == before and not strangers:
            return ModifyInvocationAttributeResult(command_id=before.command.id)
        if invocation.total + len(strangers) > plane.limits.max_instances:
            raise Refused(
                Kind.TOO_MANY_INSTANCES, f"an invocation may have {plane.limits.max_instances} instances"
            )
        now_ms = plane.clock.now_ms()
        tick_ms = times_of(spec.timing).next_after(now_ms) if spec.frequency != before.frequency else None
        done = await plane.store.schedules.modify(
            spec,
            version=invocation.repetition.version + 1 if invocation.repetition else 0,
            added=strangers,
            next_ms=due_ms(spec.id, spec.timing, tick_ms),
            tick_ms=tick_ms or 0,
            now_ms=now_ms,
        )
        if done:
            return ModifyInvocationAttributeResult(command_id=spec.command.id)
    raise Refused(
        Kind.INVOCATION_FINISHED, f"{request.invoke_id} changes all the time, or has ended; try again"
    )


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


def _changed(plane: Plane, request: ModifyInvocationAttribute, spec: InvocationSpec) -> InvocationSpec:
    command = _command(plane, request, spec.command)
    given = None if request.parameters is None else values_from_mapping(request.parameters)
    if given is None:
        names = parameter_names(command.content.reveal(), plane.limits, enabled=command.enable_parameter)
        values: Mapping[str, str] = _kept(spec.parameters.reveal(), names)
    else:
        values = given
    check_parameters(plane, command, values)
    spec = replace(spec, command=command, parameters=Secret(dict(values)))
    if request.frequency and request.frequency != spec.frequency:
        spec = replace(spec, frequency=request.frequency)
        schedule = schedule_of(plane, request.frequency, zone=spec.zone, created_ms=spec.created_ms)
        fitting_timeout_s(schedule, spec.timeout_s, now_ms=plane.clock.now_ms(), limits=plane.limits)
        jitter_of(plane, schedule, spec.jitter_s)
    return spec


def _kept(values: Mapping[str, str], names: Iterable[str]) -> Mapping[str, str]:
    """The values that the content still has names for."""
    known = {name.lower() for name in names}
    return {name: value for name, value in values.items() if name.lower() in known}


def _command(plane: Plane, request: ModifyInvocationAttribute, command: Command) -> Command:
    """Another one, not kept, where the content differs."""
    enabled = command.enable_parameter if request.enable_parameter is None else request.enable_parameter
    content = command.content.reveal()
    if request.command_content:
        is_base64 = wants_base64(request.content_encoding, default=False)
        content = decoded_content(request.command_content, is_base64=is_base64)
    if content == command.content.reveal() and enabled == command.enable_parameter:
        return command
    return checked_command(
        id=CommandId(plane.new_id("c-")),
        type=command.type,
        content=content,
        name=command.name,
        description=command.description,
        working_dir=command.working_dir,
        timeout_s=command.timeout_s,
        enable_parameter=enabled,
        launcher=command.launcher,
        tags=command.tags,
        resource_group=command.resource_group,
        kept=False,
        created_ms=plane.clock.now_ms(),
        limits=plane.limits,
    )
