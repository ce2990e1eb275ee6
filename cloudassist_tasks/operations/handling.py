"""Carry out an operation: the one way in, for the Python client, the endpoint and the command line."""

import uuid
from dataclasses import replace

from cloudassist_tasks.contract import wire
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.access import Caller
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.auditing import record_call
from cloudassist_tasks.operations.authentication import note_use
from cloudassist_tasks.operations.authorization import check_action, permitted
from cloudassist_tasks.operations.regions import check_region
from cloudassist_tasks.operations.registry import handler_of

__all__ = ["handle", "new_request_id"]


async def handle(plane: Plane, operation: Operation[R], caller: Caller, *, request_id: str = "") -> R:
    """The result of an operation. `request_id`: that of the call, if the way in has given it one already.
    Whatever comes of it is on record in the audit.

    Raises `Refused` (nothing was done) or `Broken`."""
    request_id = request_id or new_request_id()
    try:
        result = await _carried_out(plane, operation, caller)
    except BaseException as error:
        await record_call(plane, operation, caller, request_id, error=error)
        raise
    await record_call(plane, operation, caller, request_id, result=result)
    return replace(result, request_id=request_id)


async def _carried_out(plane: Plane, operation: Operation[R], caller: Caller) -> R:
    if operation.extension and not caller.ours:
        raise Refused(
            Kind.NO_SUCH_OPERATION, f"{operation.action()} is answered to clients of this product only"
        )
    check_action(caller, operation.action())
    wire.check(operation, ours=caller.ours)
    check_region(operation, plane.settings, ours=caller.ours)
    await note_use(plane, caller)
    visible = await permitted(plane, operation, caller)
    return await handler_of(type(operation))(for_ours(visible) if caller.ours else visible, operation)


def new_request_id() -> str:
    """An upper-case UUID."""
    return str(uuid.uuid4()).upper()


def for_ours(plane: Plane) -> Plane:
    """The plane with the limits of our own clients: one call may name as many instances as an invocation
    may have."""
    most = plane.limits.max_instances
    limits = replace(
        plane.limits,
        instances_per_call=most,
        instances_per_stop=most,
        instances_per_file=most,
        instances_per_install=most,
        instances_per_status=most,
    )
    return replace(plane, settings=replace(plane.settings, limits=limits))
