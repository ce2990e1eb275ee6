"""Switch instances on and off through their owners' power commands."""

from collections.abc import Sequence
from typing import Any

from cloudassist_tasks.contract.errors import wire_error_of
from cloudassist_tasks.contract.power import (
    InstanceResponse,
    InstancesSwitch,
    InstanceSwitch,
    RebootInstance,
    RebootInstanceResult,
    RebootInstances,
    RebootInstancesResult,
    StartInstance,
    StartInstanceResult,
    StartInstances,
    StartInstancesResult,
    StopInstance,
    StopInstanceResult,
    StopInstances,
    StopInstancesResult,
)
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.power import PASSAGES, PowerAction, PowerKey, check_switch
from cloudassist_tasks.engine import power
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.instances import registered
from cloudassist_tasks.operations.registry import implements

_ALL_TOGETHER, _SUCCESS_FIRST = "AllTogether", "SuccessFirst"

_DONE = "200"
"""The vendor's code of an instance for which all is well."""


@implements(StartInstance)
async def start_instance(plane: Plane, request: StartInstance) -> StartInstanceResult:
    await _switch_one(plane, request, PowerAction.START)
    return StartInstanceResult()


@implements(StopInstance)
async def stop_instance(plane: Plane, request: StopInstance) -> StopInstanceResult:
    await _switch_one(plane, request, PowerAction.STOP, force=bool(request.force_stop))
    return StopInstanceResult()


@implements(RebootInstance)
async def reboot_instance(plane: Plane, request: RebootInstance) -> RebootInstanceResult:
    await _switch_one(plane, request, PowerAction.REBOOT, force=bool(request.force_stop))
    return RebootInstanceResult()


@implements(StartInstances)
async def start_instances(plane: Plane, request: StartInstances) -> StartInstancesResult:
    return StartInstancesResult(instance_responses=await _switch_many(plane, request, PowerAction.START))


@implements(StopInstances)
async def stop_instances(plane: Plane, request: StopInstances) -> StopInstancesResult:
    responses = await _switch_many(plane, request, PowerAction.STOP, force=bool(request.force_stop))
    return StopInstancesResult(instance_responses=responses)


@implements(RebootInstances)
async def reboot_instances(plane: Plane, request: RebootInstances) -> RebootInstancesResult:
    responses = await _switch_many(plane, request, PowerAction.REBOOT, force=bool(request.force_reboot))
    return RebootInstancesResult(instance_responses=responses)


async def _switch_one(
    plane: Plane, request: InstanceSwitch[Any], action: PowerAction, *, force: bool = False
) -> None:
    (instance,) = await registered(plane, [request.instance_id], 1)
    check_switch(instance, action)
    _end_dry_run(request.dry_run)
    await power.publish(plane, [await power.begin(plane, instance, action, force=force)], action)


async def _switch_many(
    plane: Plane, request: InstancesSwitch[Any], action: PowerAction, *, force: bool = False
) -> Sequence[InstanceResponse]:
    together = _together(request.batch_optimization)
    if not request.instance_id:
        raise Refused(Kind.MISSING_INSTANCES, "no instance was named; give InstanceId")
    named = await registered(plane, request.instance_id, plane.limits.instances_per_switch)
    if together:
        for instance in named:
            check_switch(instance, action)
    _end_dry_run(request.dry_run)
    begun: list[PowerKey] = []
    responses: list[InstanceResponse] = []
    for instance in named:
        try:
            begun.append(await power.begin(plane, instance, action, force=force))
        except Refused as refusal:
            if together:
                await power.take_back(plane, begun, action, "another of the same call could not be switched")
                raise
            responses.append(_refused(request, instance, refusal))
        else:
            responses.append(_begun(instance, action))
    await power.publish(plane, begun, action)
    return tuple(responses)


def _together(batch_optimization: str | None) -> bool:
    wanted = batch_optimization or _ALL_TOGETHER
    if wanted not in (_ALL_TOGETHER, _SUCCESS_FIRST):
        raise Refused(
            Kind.BAD_VALUE,
            f"BatchOptimization {wanted[:40]!r} does not exist; there are {_ALL_TOGETHER}, {_SUCCESS_FIRST}",
        )
    return wanted == _ALL_TOGETHER


def _end_dry_run(dry_run: bool | None) -> None:
    if dry_run:
        raise Refused(
            Kind.DRY_RUN_PASSED, "the request would have been carried out; send it without DryRun to do so"
        )


def _begun(instance: Instance, action: PowerAction) -> InstanceResponse:
    return InstanceResponse(
        instance_id=instance.id,
        code=_DONE,
        message="success",
        previous_status=instance.status,
        current_status=PASSAGES[action].during,
    )


def _refused(request: InstancesSwitch[Any], instance: Instance, refusal: Refused) -> InstanceResponse:
    return InstanceResponse(
        instance_id=instance.id,
        code=wire_error_of(refusal, type(request))[0],
        message=refusal.message,
        previous_status=instance.status,
        current_status=instance.status,
    )
