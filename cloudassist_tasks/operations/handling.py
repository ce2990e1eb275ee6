"""Carry out an operation: the one way in, for the Python client, the endpoint and the command line."""

import uuid
from dataclasses import replace

from cloudassist_tasks.contract import wire
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.access import Caller
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations import (  # each registers its operations
    account,
    commands,
    describing,
    instances,
    invocations,
    power,
    registrations,
    runs,
)
from cloudassist_tasks.operations.registry import handler_of

__all__ = ["handle", "new_request_id"]

_MODULES = (account, commands, describing, instances, invocations, power, registrations, runs)


async def handle(plane: Plane, operation: Operation[R], caller: Caller, *, request_id: str = "") -> R:
    """The result of an operation. `request_id`: that of the call, if the way in has given it one already.

    Raises `Refused` (nothing was done) or `Broken`."""
    if operation.extension and not caller.ours:
        raise Refused(
            Kind.NO_SUCH_OPERATION, f"{operation.action()} is answered to clients of this product only"
        )
    wire.check(operation, ours=caller.ours)
    result = await handler_of(type(operation))(for_ours(plane) if caller.ours else plane, operation)
    return replace(result, request_id=request_id or new_request_id())


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
        instances_per_install=most,
        instances_per_status=most,
    )
    return replace(plane, settings=replace(plane.settings, limits=limits))
