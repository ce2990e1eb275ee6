"""Send a file to instances, and list what was sent with what became of it."""

import asyncio
from collections.abc import Sequence

from cloudassist_tasks.contract.files import (
    DescribeSendFileResults,
    DescribeSendFileResultsResult,
    FileInstance,
    FileItem,
    SendFile,
    SendFileResult,
)
from cloudassist_tasks.domain.caps import checked_caps
from cloudassist_tasks.domain.command import (
    Command,
    CommandType,
    check_description,
    check_resource_group,
    checked_timeout,
)
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.file import (
    WHOLE,
    FileSpec,
    checked_file,
    file_status,
    whole_file_status,
)
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Invocation, InvocationKind, Run
from cloudassist_tasks.domain.pagination import NumberedPage, TokenPage, checked_page, token_for
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.selector import check_count
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.engine.file_program import file_program
from cloudassist_tasks.engine.launch import LaunchRequest, launch
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.agreeing import as_of
from cloudassist_tasks.operations.deliveries import callback_of, webhook_of
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.repetition import done_before, request_hash, token_of
from cloudassist_tasks.operations.values import filter_of, tag_items, tags_of, time_text
from cloudassist_tasks.ports.listing import InvocationFilter, Page, StatesTest

INSTANCES_SHOWN = 50
"""Instances of one file in a listing. The vendor's have no more; larger ones are ours."""

SUPERUSER = "root"
"""Whose a file is where nobody was named."""


# -- SendFile


@implements(SendFile)
async def send_file(plane: Plane, request: SendFile) -> SendFileResult:
    limits = plane.limits
    if (earlier := await done_before(plane, request, request.client_token)) is not None:
        return SendFileResult(invoke_id=earlier.invoke_id)
    check_description(request.description or "", limits)
    check_resource_group(request.resource_group_id or "")
    file = checked_file(
        name=request.name,
        content=request.content,
        content_type=request.content_type or "",
        target_dir=request.target_dir,
        owner=request.file_owner or "",
        group=request.file_group or "",
        mode=request.file_mode or "",
        overwrite=bool(request.overwrite),
        limits=limits,
    )
    ids = [InstanceId(instance_id) for instance_id in dict.fromkeys(request.instance_id)]
    check_count(len(ids), limits.instances_per_file)
    timeout_s = checked_timeout(request.timeout, limits)
    tags = tags_of(request.tag, limits)
    launching = LaunchRequest(
        command=_command(plane, file, request.description or "", timeout_s),
        file=file,
        instance_ids=ids,
        timeout_s=timeout_s,
        working_dir="/",
        tags=tags,
        caps=checked_caps(request.max_concurrency, request.max_errors, tags),
        callback=callback_of(request, plane.settings),
        webhook=webhook_of(request, plane.settings),
        resource_group=request.resource_group_id or "",
        token=token_of(request, request.client_token),
        request_hash=request_hash(request, request.client_token),
        max_instances=limits.instances_per_file,
    )
    opened = await launch(plane, launching)
    return SendFileResult(invoke_id=opened.invoke_id)


def _command(plane: Plane, file: FileSpec, description: str, timeout_s: int) -> Command:
    """The program that places the file, under the file's name."""
    return Command(
        id=CommandId(plane.new_id("c-")),
        name=file.name,
        type=CommandType.SHELL,
        content=Secret(file_program(file)),
        description=description,
        timeout_s=timeout_s,
        kept=False,
        created_ms=plane.clock.now_ms(),
    )


# -- DescribeSendFileResults


@implements(DescribeSendFileResults)
async def describe_send_file_results(
    plane: Plane, request: DescribeSendFileResults
) -> DescribeSendFileResultsResult:
    wanted = checked_page(
        max_results=request.max_results,
        next_token=request.next_token,
        page_number=request.page_number,
        page_size=request.page_size,
    )
    page = await _page(plane, _filter(plane, request), wanted)
    items = await asyncio.gather(*(_item(plane, request, invocation) for invocation in page.items))
    return DescribeSendFileResultsResult(
        invocations=tuple(item for item in items if item is not None),
        next_token=token_for(page.cursor) if isinstance(wanted, TokenPage) else "",
        page_number=wanted.number if isinstance(wanted, NumberedPage) else 0,
        page_size=wanted.size,
        total_count=page.total,
    )


def _filter(plane: Plane, request: DescribeSendFileResults) -> InvocationFilter:
    return InvocationFilter(
        kind=InvocationKind.FILE,
        invoke_id=InvokeId(request.invoke_id) if request.invoke_id else None,
        name=request.name or "",
        instance_id=InstanceId(request.instance_id) if request.instance_id else None,
        states=_states(request.invocation_status or ""),
        resource_group=request.resource_group_id or "",
        tags=filter_of(request.tag, plane.limits),
    )


def _states(wanted: str) -> StatesTest | None:
    """A state of the whole; empty: any."""
    if not wanted:
        return None
    if wanted not in WHOLE:
        raise Refused(
            Kind.BAD_VALUE, f"InvocationStatus {wanted[:40]!r} does not exist; there are {', '.join(WHOLE)}"
        )

    def fits(present: frozenset[RunStatus]) -> bool:
        return whole_file_status(dict.fromkeys(present, 1)) == wanted

    return fits


async def _page(plane: Plane, wanted: InvocationFilter, page: TokenPage | NumberedPage) -> Page[Invocation]:
    invocations = plane.store.invocations
    match page:
        case TokenPage(size=size, position=position):
            return await invocations.page(wanted, limit=size, cursor=position)
        case NumberedPage(size=size, skip=skip):
            return await invocations.page(wanted, limit=size, skip=skip, count=True)


async def _item(plane: Plane, request: DescribeSendFileResults, invocation: Invocation) -> FileItem | None:
    spec, file = invocation.spec, invocation.spec.file
    if file is None:
        return None
    if request.instance_id:
        ids: Sequence[InstanceId] = [InstanceId(request.instance_id)]
    else:
        ids = await plane.store.invocations.members(spec.id, limit=INSTANCES_SHOWN)
    runs = await plane.store.runs.get_many(spec.id, ids)
    invocation = await as_of(plane, runs, invocation)
    return FileItem(
        invoke_id=spec.id,
        name=file.name,
        description=spec.command.description,
        content=file.shown_content(),
        content_type=file.content_type,
        target_dir=file.target_dir,
        file_owner=file.owner or SUPERUSER,
        file_group=file.group or SUPERUSER,
        file_mode=file.mode,
        overwrite="true" if file.overwrite else "false",
        creation_time=time_text(spec.created_ms),
        vm_count=invocation.total,
        invocation_status=whole_file_status(invocation.tally),
        tags=tag_items(spec.tags),
        invoke_instances=tuple(_instance(invocation, run) for run in runs),
    )


def _instance(invocation: Invocation, run: Run) -> FileInstance:
    created_ms = invocation.spec.created_ms
    return FileInstance(
        instance_id=run.key.instance_id,
        invocation_status=file_status(run.status),
        error_code=run.error_code,
        error_info=run.error_info or _STOPPED.get(run.status, ""),
        creation_time=time_text(created_ms),
        start_time=time_text(run.start_ms),
        finish_time=time_text(run.finish_ms),
        update_time=time_text(run.update_ms or created_ms),
    )


_STOPPED = {
    RunStatus.CANCELLED: "it was stopped before it began; nothing was sent",
    RunStatus.TERMINATED: "it was stopped while it went; look at the instance, or send it again",
}
"""The file vocabulary has no word for a stop."""
