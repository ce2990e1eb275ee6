"""Run a script or a kept command on instances; stop that; do it again where it failed.

Each function translates and checks what was asked for, with the vendor's defaults, and hands over to the
engine. Nothing is started before everything was checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cloudassist_tasks.contract.extensions import RetryInvocation, RetryInvocationResult
from cloudassist_tasks.contract.invocations import (
    InvokeCommand,
    InvokeCommandResult,
    RunCommand,
    RunCommandResult,
    StopInvocation,
    StopInvocationResult,
)
from cloudassist_tasks.domain.caps import Caps, checked_caps
from cloudassist_tasks.domain.command import (
    Command,
    CommandType,
    TerminationMode,
    check_resource_group,
    check_username,
    check_working_dir,
    checked_command,
    checked_termination_mode,
    checked_timeout,
)
from cloudassist_tasks.domain.container import check_container
from cloudassist_tasks.domain.content import decoded_content
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Misfire, RepeatMode
from cloudassist_tasks.domain.launcher import parsed_launcher
from cloudassist_tasks.domain.parameters import values_from_mapping
from cloudassist_tasks.domain.repeat import asked_repeat_mode
from cloudassist_tasks.domain.schedule import Schedule
from cloudassist_tasks.domain.selector import Selector, check_count, check_ids_or_tags, targets
from cloudassist_tasks.domain.text import check_length
from cloudassist_tasks.engine.launch import LaunchRequest, launch
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.retry import retry_failed
from cloudassist_tasks.engine.stop import stop
from cloudassist_tasks.operations.deliveries import callback_of, webhook_of
from cloudassist_tasks.operations.kept import kept_command
from cloudassist_tasks.operations.periods import jitter_of, misfire_of, schedule_of, timeout_of, zone_wanted
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.repetition import done_before, request_hash, token_of
from cloudassist_tasks.operations.values import resource_filter_of, tags_of, wants_base64

_WINDOWS_DEFAULT_USER = "System"


@implements(RunCommand)
async def run_command(plane: Plane, request: RunCommand) -> RunCommandResult:
    if (earlier := await done_before(plane, request, request.client_token)) is not None:
        return RunCommandResult(command_id=earlier.command_id, invoke_id=earlier.invoke_id)
    limits, now_ms = plane.limits, plane.clock.now_ms()
    wishes = _wishes(plane, request)
    is_base64 = wants_base64(request.content_encoding, default=False)
    command = checked_command(
        id=CommandId(plane.new_id("c-")),
        type=request.type,
        content=decoded_content(request.command_content, is_base64=is_base64),
        name=request.name or default_name(now_ms),
        description=request.description or "",
        working_dir=request.working_dir or "",
        timeout_s=request.timeout,
        enable_parameter=bool(request.enable_parameter),
        launcher=request.launcher or "",
        kept=bool(request.keep_command),
        created_ms=now_ms,
        limits=limits,
    )
    values = None if request.parameters is None else values_from_mapping(request.parameters)
    opened = await launch(plane, await _launch_request(plane, request, command, wishes, values))
    return RunCommandResult(command_id=opened.command_id, invoke_id=opened.invoke_id)


@implements(InvokeCommand)
async def invoke_command(plane: Plane, request: InvokeCommand) -> InvokeCommandResult:
    if (earlier := await done_before(plane, request, request.client_token)) is not None:
        return InvokeCommandResult(invoke_id=earlier.invoke_id)
    wishes = _wishes(plane, request)
    values = None if request.parameters is None else values_from_mapping(request.parameters)
    command = await kept_command(plane, request.command_id)
    opened = await launch(plane, await _launch_request(plane, request, command, wishes, values))
    return InvokeCommandResult(invoke_id=opened.invoke_id)


@implements(StopInvocation)
async def stop_invocation(plane: Plane, request: StopInvocation) -> StopInvocationResult:
    ids = _distinct(request.instance_id)
    check_count(len(ids), plane.limits.instances_per_stop)
    await stop(plane, InvokeId(request.invoke_id), ids or None)
    return StopInvocationResult()


@implements(RetryInvocation)
async def retry_invocation(plane: Plane, request: RetryInvocation) -> RetryInvocationResult:
    opened = await retry_failed(plane, InvokeId(request.invoke_id))
    return RetryInvocationResult(invoke_id=opened.invoke_id)


def default_name(now_ms: int) -> str:
    """Of a command that was given none: `cmd-yyyy-MM-dd`, as the vendor's."""
    return datetime.fromtimestamp(now_ms / 1_000, UTC).strftime("cmd-%Y-%m-%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    """How to run, whatever is run: checked."""

    username: str
    termination_mode: TerminationMode
    repeat_mode: RepeatMode
    schedule: Schedule | None
    """With Period."""
    misfire: Misfire
    jitter_s: int
    tags: Mapping[str, str]
    caps: Caps
    callback: Callback | None
    webhook: str


def _wishes(plane: Plane, request: RunCommand | InvokeCommand) -> _Wishes:
    limits = plane.limits
    check_username(request.username or "", limits)
    check_length(
        "WindowsPasswordName",
        request.windows_password_name or "",
        limits.username_chars,
        Kind.WINDOWS_PASSWORD_TOO_LONG,
    )
    check_resource_group(request.resource_group_id or "")
    check_container(request.container_id or "", request.container_name or "", limits)
    if request.container_id or request.container_name:
        raise Refused(
            Kind.CONTAINER_NOT_SUPPORTED,
            "scripts cannot be run inside containers yet; leave ContainerId and ContainerName out and use"
            " docker exec in the script",
        )
    tags = tags_of(request.tag, limits)
    repeat_mode = asked_repeat_mode(request.repeat_mode, frequency=request.frequency, timed=request.timed)
    schedule = (
        schedule_of(plane, request.frequency or "", zone=zone_wanted(plane, request.zone))
        if repeat_mode is RepeatMode.PERIOD
        else None
    )
    return _Wishes(
        username=request.username or "",
        termination_mode=checked_termination_mode(request.termination_mode or TerminationMode.PROCESS_TREE),
        repeat_mode=repeat_mode,
        schedule=schedule,
        misfire=misfire_of(request.misfire),
        jitter_s=jitter_of(plane, schedule, request.jitter),
        tags=tags,
        caps=checked_caps(request.max_concurrency, request.max_errors, tags),
        callback=callback_of(request, plane.settings),
        webhook=webhook_of(request, plane.settings),
    )


async def _launch_request(
    plane: Plane,
    request: RunCommand | InvokeCommand,
    command: Command,
    wishes: _Wishes,
    values: Mapping[str, str] | None,
) -> LaunchRequest:
    limits = plane.limits
    check_working_dir(request.working_dir or "", limits)
    parsed_launcher(request.launcher or "", limits)
    _check_windows_user(command, request)
    timeout_s = command.timeout_s if request.timeout is None else checked_timeout(request.timeout, limits)
    if wishes.schedule is not None:
        asked_s = None if request.timeout is None else timeout_s
        timeout_s = timeout_of(plane, wishes.schedule, asked_s, otherwise_s=command.timeout_s)
    return LaunchRequest(
        command=command,
        keep=isinstance(request, RunCommand) and command.kept,
        instance_ids=await _instances(plane, request),
        parameters=values,
        parameters_needed=isinstance(request, InvokeCommand),
        timeout_s=timeout_s,
        timeout_left_out=request.timeout is None,
        working_dir=request.working_dir or command.working_dir,
        username=wishes.username,
        launcher=request.launcher or command.launcher,
        termination_mode=wishes.termination_mode,
        repeat_mode=wishes.repeat_mode,
        frequency=wishes.schedule.expression if wishes.schedule else "",
        zone=zone_wanted(plane, request.zone) if wishes.schedule else "UTC",
        misfire=wishes.misfire,
        jitter_s=wishes.jitter_s,
        tags=wishes.tags,
        caps=wishes.caps,
        callback=wishes.callback,
        webhook=wishes.webhook,
        resource_group=request.resource_group_id or "",
        token=token_of(request, request.client_token),
        request_hash=request_hash(request, request.client_token),
        max_instances=limits.instances_per_call,
    )


def _check_windows_user(command: Command, request: RunCommand | InvokeCommand) -> None:
    if command.type is CommandType.SHELL or request.windows_password_name:
        return
    if (request.username or _WINDOWS_DEFAULT_USER).lower() != _WINDOWS_DEFAULT_USER.lower():
        raise Refused(
            Kind.WINDOWS_PASSWORD_MISSING,
            "a user of Windows other than System needs WindowsPasswordName, the name of a stored password",
        )


async def _instances(plane: Plane, request: RunCommand | InvokeCommand) -> Sequence[InstanceId]:
    """The ids asked for, each once and in the caller's order, or those that have the tags."""
    limits = plane.limits
    wanted = resource_filter_of(request.resource_tag, limits)
    check_ids_or_tags(request.instance_id, wanted)
    if wanted:
        registered = await plane.store.instances.all()
        chosen = targets(Selector(tags=wanted), registered, at_most=limits.instances_per_call)
        return [instance.id for instance in chosen]
    ids = _distinct(request.instance_id)
    check_count(len(ids), limits.instances_per_call)
    return ids


def _distinct(ids: Sequence[str]) -> Sequence[InstanceId]:
    return [InstanceId(instance_id) for instance_id in dict.fromkeys(ids)]
