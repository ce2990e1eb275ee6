"""List invocations, and the results of their runs, with the vendor's filters and both styles of paging."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

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
from cloudassist_tasks.domain.invocation import Invocation
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.pagination import NumberedPage, TokenPage, checked_page, token_for
from cloudassist_tasks.domain.rollup import invocation_status, legacy_invocation_status
from cloudassist_tasks.domain.status import InvocationStatus, LegacyStatus, RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.agreeing import as_of, with_outputs
from cloudassist_tasks.operations.history import History
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.results import ResultPage, Results, record_statuses
from cloudassist_tasks.operations.values import filter_of, wants_base64
from cloudassist_tasks.operations.views import invocation_item, invocation_result, invoke_instance
from cloudassist_tasks.operations.watching import hurry
from cloudassist_tasks.ports.listing import ANY_STATUS, InvocationFilter, Page, StatesTest

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
    fitting = _filter(request, plane.limits)
    match wanted:
        case TokenPage(size=size, position=position):
            return await plane.store.invocations.page(fitting, limit=size, cursor=position)
        case NumberedPage(size=size, skip=skip):
            return await plane.store.invocations.page(fitting, limit=size, skip=skip, count=True)


def _filter(request: DescribeInvocations, limits: Limits) -> InvocationFilter:
    """With InstanceId, the name and the repeat mode are ignored, and InvokeStatus speaks of its run."""
    by_instance = bool(request.instance_id)
    states = _states_test(request.invoke_status) if request.invoke_status else None
    return InvocationFilter(
        invoke_id=InvokeId(request.invoke_id) if request.invoke_id else None,
        command_id=CommandId(request.command_id) if request.command_id else None,
        command_type=request.command_type or "",
        name="" if by_instance else request.command_name or "",
        instance_id=InstanceId(request.instance_id) if request.instance_id else None,
        run_statuses=_alone(states) if states and by_instance else ANY_STATUS,
        states=None if by_instance else states,
        repeat_mode="" if by_instance else request.repeat_mode or "",
        timed=request.timed,
        resource_group=request.resource_group_id or "",
        tags=filter_of(request.tag, limits),
    )


def _states_test(wanted: str) -> StatesTest:
    """A fine state of the whole, or one that only the classic vocabulary has."""
    if wanted in set(InvocationStatus):
        return lambda present: invocation_status(dict.fromkeys(present, 1)) == wanted
    if wanted in set(LegacyStatus):
        return lambda present: legacy_invocation_status(dict.fromkeys(present, 1)) == wanted
    known = ", ".join([*InvocationStatus, LegacyStatus.FINISHED])
    raise Refused(Kind.BAD_VALUE, f"InvokeStatus {wanted[:40]!r} does not exist; there are {known}")


def _alone(states: StatesTest) -> frozenset[RunStatus]:
    """The states of a run that would give the whole the wanted one. PartialFailed is nobody's alone: then it
    has no effect."""
    return frozenset(status for status in RunStatus if states(frozenset({status}))) or ANY_STATUS


async def _item(plane: Plane, request: DescribeInvocations, invocation: Invocation) -> InvocationItem:
    invoke_id = invocation.spec.id
    as_base64 = wants_base64(request.content_encoding, default=True)
    if request.instance_id:
        ids: Sequence[InstanceId] = [InstanceId(request.instance_id)]
    else:
        ids = await plane.store.invocations.members(invoke_id, limit=INSTANCES_SHOWN)
    runs = await plane.store.runs.of(invocation, ids)
    invocation = await as_of(plane, runs, invocation)
    read = await with_outputs(plane, runs, wanted=bool(request.include_output))
    instances = [invoke_instance(invocation, run, output, as_base64=as_base64) for run, output in read]
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
    fitting = InvocationFilter(
        invoke_id=InvokeId(request.invoke_id) if request.invoke_id else None,
        instance_id=InstanceId(request.instance_id) if request.instance_id else None,
        command_id=CommandId(request.command_id) if request.command_id else None,
        run_statuses=record_statuses(request.invoke_record_status or ""),
        resource_group=request.resource_group_id or "",
        tags=filter_of(request.tag, plane.limits),
    )
    page = await _page_of(await _source(plane, request, fitting), wanted)
    if request.invoke_id:
        await hurry(plane, page.runs)
    as_base64 = wants_base64(request.content_encoding, default=True)
    read = await with_outputs(plane, page.runs)
    return DescribeInvocationResultsResult(
        invocation=InvocationResults(
            invocation_results=tuple(
                invocation_result(invocation, run, output, as_base64=as_base64)
                for (invocation, _), (run, output) in zip(page.items, read, strict=True)
            ),
            next_token=token_for(page.position) if isinstance(wanted, TokenPage) else "",
            page_number=wanted.number if isinstance(wanted, NumberedPage) else 0,
            page_size=wanted.size,
            total_count=page.total,
        )
    )


async def _source(
    plane: Plane, request: DescribeInvocationResults, fitting: InvocationFilter
) -> Results | History:
    """The runs as they stand, or all that there were."""
    if not request.include_history:
        return Results(plane, fitting)
    if not request.invoke_id:
        raise Refused(Kind.BAD_VALUE, "IncludeHistory needs the InvokeId of what repeats; give it")
    history = History(
        plane, request.invoke_id, instance_id=request.instance_id, statuses=fitting.run_statuses
    )
    fits = (await plane.store.invocations.page(fitting_whole(fitting), limit=1)).items
    return history if await history.check() and fits else Results(plane, fitting)


def fitting_whole(fitting: InvocationFilter) -> InvocationFilter:
    """Without what is asked of single runs."""
    return replace(fitting, run_statuses=ANY_STATUS, instance_id=None)


async def _page_of(results: Results | History, wanted: TokenPage | NumberedPage) -> ResultPage:
    match wanted:
        case TokenPage(size=size, position=position):
            return await results.behind(position, size)
        case NumberedPage(size=size, skip=skip):
            return await results.numbered(skip, size)
