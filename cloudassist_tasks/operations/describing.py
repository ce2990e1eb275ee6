"""List invocations, and the results of their runs, with the vendor's filters and both styles of paging."""

import asyncio
from collections.abc import Callable, Sequence

from cloudassist_tasks.contract.invocations import (
    DescribeInvocationResults,
    DescribeInvocationResultsResult,
    DescribeInvocations,
    DescribeInvocationsResult,
    InvocationItem,
    InvocationResults,
)
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.invocation import Invocation, Run
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.pagination import NumberedPage, TokenPage, checked_page, token_for
from cloudassist_tasks.domain.rollup import Tally, invocation_status, legacy_invocation_status
from cloudassist_tasks.domain.status import InvocationStatus, LegacyStatus
from cloudassist_tasks.domain.tags import tags_match
from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.outputs import outputs_of
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.results import ResultPage, Results
from cloudassist_tasks.operations.values import filter_of, wants_base64
from cloudassist_tasks.operations.views import invocation_item, invocation_result, invoke_instance
from cloudassist_tasks.operations.watching import hurry
from cloudassist_tasks.ports.store import Page

INSTANCES_SHOWN = 50
"""Instances of one invocation in a listing. The vendor's have no more; larger ones are ours."""


# -- DescribeInvocations


@implements(DescribeInvocations)
async def describe_invocations(plane: Plane, request: DescribeInvocations) -> DescribeInvocationsResult:
    wanted = checked_page(
        max_results=request.max_results,
        next_token=request.next_token,
        page_number=request.page_number,
        page_size=request.page_size,
    )
    if request.include_output and not (request.invoke_id or request.instance_id):
        raise Refused(Kind.BAD_VALUE, "IncludeOutput needs InvokeId or InstanceId; give one of them")
    found = await _found(plane, request, wanted)
    items = await asyncio.gather(*(_item(plane, request, invocation) for invocation in found.items))
    return DescribeInvocationsResult(
        invocations=tuple(items),
        next_token=token_for(found.cursor) if isinstance(wanted, TokenPage) else "",
        page_number=wanted.number if isinstance(wanted, NumberedPage) else 0,
        page_size=wanted.size,
        total_count=found.total,
    )


async def _found(
    plane: Plane, request: DescribeInvocations, wanted: TokenPage | NumberedPage
) -> Page[Invocation]:
    fits = _filter(request, plane.limits)
    instance_id = InstanceId(request.instance_id) if request.instance_id else None
    if request.invoke_id:
        one = await _one(plane, InvokeId(request.invoke_id), fits, instance_id)
        items = await _by_run_status(plane, request, one)
        first = isinstance(wanted, TokenPage) or wanted.number == 1
        return Page(items=items if first else (), cursor="", total=len(items))
    if instance_id and request.invoke_status:
        return await _by_status_of_instance(plane, request, wanted, fits, instance_id)
    command_id = CommandId(request.command_id) if request.command_id else None
    match wanted:
        case TokenPage(size=size, position=position):
            return await plane.store.invocations.page(
                where=fits, limit=size, cursor=position, command_id=command_id, instance_id=instance_id
            )
        case NumberedPage(size=size, skip=skip):
            return await plane.store.invocations.page(
                where=fits, limit=size, skip=skip, command_id=command_id, instance_id=instance_id, count=True
            )


async def _one(
    plane: Plane,
    invoke_id: InvokeId,
    fits: Callable[[Invocation], bool],
    instance_id: InstanceId | None,
) -> Sequence[Invocation]:
    invocation = await plane.store.invocations.get(invoke_id)
    if invocation is None or not fits(invocation):
        return ()
    if instance_id and await plane.store.invocations.not_members(invoke_id, [instance_id]):
        return ()
    return (invocation,)


async def _by_status_of_instance(
    plane: Plane,
    request: DescribeInvocations,
    wanted: TokenPage | NumberedPage,
    fits: Callable[[Invocation], bool],
    instance_id: InstanceId,
) -> Page[Invocation]:
    """InvokeStatus together with InstanceId speaks of the instance's run, which the listing does not hold:
    pages are read and sifted until there are enough, each no larger than what is still missing."""
    command_id = CommandId(request.command_id) if request.command_id else None
    numbered = isinstance(wanted, NumberedPage)
    skip = wanted.skip if isinstance(wanted, NumberedPage) else 0
    cursor = wanted.position if isinstance(wanted, TokenPage) else ""
    found: list[Invocation] = []
    while numbered or len(found) < wanted.size:
        page = await plane.store.invocations.page(
            where=fits,
            limit=INSTANCES_SHOWN if numbered else wanted.size - len(found),
            cursor=cursor,
            command_id=command_id,
            instance_id=instance_id,
        )
        found += await _by_run_status(plane, request, page.items)
        cursor = page.cursor
        if not cursor:
            break
    if numbered:
        return Page(items=found[skip : skip + wanted.size], cursor="", total=len(found))
    return Page(items=found, cursor=cursor, total=0)


async def _by_run_status(
    plane: Plane, request: DescribeInvocations, invocations: Sequence[Invocation]
) -> Sequence[Invocation]:
    """Those whose run on the instance has the wanted status; all, if no such filter was given."""
    if not (request.instance_id and request.invoke_status and invocations):
        return invocations
    instance_id, wanted = InstanceId(request.instance_id), _status_filter(request.invoke_status)
    runs = await _run_of_each(plane, invocations, instance_id)
    return [invocation for invocation, run in zip(invocations, runs, strict=True) if wanted({run.status: 1})]


async def _run_of_each(
    plane: Plane, invocations: Sequence[Invocation], instance_id: InstanceId
) -> Sequence[Run]:
    found = await asyncio.gather(
        *(plane.store.runs.get_many(invocation.spec.id, [instance_id]) for invocation in invocations)
    )
    return [run for (run,) in found]


def _filter(request: DescribeInvocations, limits: Limits) -> Callable[[Invocation], bool]:
    tags = filter_of(request.tag, limits)
    by_instance = bool(request.instance_id)
    has_status = _status_filter("" if by_instance else request.invoke_status or "")

    def fits(invocation: Invocation) -> bool:
        spec = invocation.spec
        return (
            request.command_id in (None, "", spec.command.id)
            and request.command_type in (None, "", spec.command.type)
            and (by_instance or not request.command_name or matches(request.command_name, spec.command.name))
            and (by_instance or request.repeat_mode in (None, "", spec.repeat_mode))
            and request.timed is not True  # nothing runs again by itself yet
            and has_status(invocation.tally)
            and tags_match(tags, spec.tags)
        )

    return fits


def _status_filter(wanted: str) -> Callable[[Tally], bool]:
    """A fine state of the whole, or one that only the classic vocabulary has; empty: any."""
    if not wanted:
        return lambda _: True
    if wanted in set(InvocationStatus):
        return lambda tally: invocation_status(tally) == wanted
    if wanted in set(LegacyStatus):
        return lambda tally: legacy_invocation_status(tally) == wanted
    known = ", ".join([*InvocationStatus, LegacyStatus.FINISHED])
    raise Refused(Kind.BAD_VALUE, f"InvokeStatus {wanted[:40]!r} does not exist; there are {known}")


async def _item(plane: Plane, request: DescribeInvocations, invocation: Invocation) -> InvocationItem:
    invoke_id = invocation.spec.id
    as_base64 = wants_base64(request.content_encoding, default=True)
    if request.instance_id:
        ids: Sequence[InstanceId] = [InstanceId(request.instance_id)]
    else:
        ids = await plane.store.invocations.members(invoke_id, limit=INSTANCES_SHOWN)
    runs = await plane.store.runs.get_many(invoke_id, ids)
    outputs = await outputs_of(plane, runs, wanted=bool(request.include_output))
    instances = [
        invoke_instance(invocation, run, output, as_base64=as_base64)
        for run, output in zip(runs, outputs, strict=True)
    ]
    return invocation_item(invocation, instances, as_base64=as_base64)


# -- DescribeInvocationResults


@implements(DescribeInvocationResults)
async def describe_invocation_results(
    plane: Plane, request: DescribeInvocationResults
) -> DescribeInvocationResultsResult:
    wanted = checked_page(
        max_results=request.max_results,
        next_token=request.next_token,
        page_number=request.page_number,
        page_size=request.page_size,
    )
    if request.include_history:
        raise Refused(
            Kind.NOT_SUPPORTED, "IncludeHistory is for schedules, which are not supported yet; leave it out"
        )
    results = Results(
        plane,
        invoke_id=request.invoke_id or "",
        instance_id=request.instance_id or "",
        command_id=request.command_id or "",
        record_status=request.invoke_record_status or "",
        tags=filter_of(request.tag, plane.limits),
    )
    page = await _page_of(results, wanted)
    if request.invoke_id:
        await hurry(plane, page.runs)
    as_base64 = wants_base64(request.content_encoding, default=True)
    outputs = await outputs_of(plane, page.runs)
    return DescribeInvocationResultsResult(
        invocation=InvocationResults(
            invocation_results=tuple(
                invocation_result(invocation, run, output, as_base64=as_base64)
                for (invocation, run), output in zip(page.items, outputs, strict=True)
            ),
            next_token=token_for(page.position) if isinstance(wanted, TokenPage) else "",
            page_number=wanted.number if isinstance(wanted, NumberedPage) else 0,
            page_size=wanted.size,
            total_count=page.total,
        )
    )


async def _page_of(results: Results, wanted: TokenPage | NumberedPage) -> ResultPage:
    match wanted:
        case TokenPage(size=size, position=position):
            return await results.behind(position, size)
        case NumberedPage(size=size, skip=skip):
            return await results.numbered(skip, size)
