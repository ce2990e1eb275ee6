"""Carry out an operation: the one way in, for the Python client, the endpoint and the command line."""

import uuid
from dataclasses import replace

from cloudassist_tasks.contract import wire
from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations import (  # each registers its operations
    account,
    commands,
    describing,
    instances,
    invocations,
    registrations,
    runs,
)
from cloudassist_tasks.operations.registry import handler_of

__all__ = ["handle"]

_MODULES = (account, commands, describing, instances, invocations, registrations, runs)


async def handle(plane: Plane, operation: Operation[R], *, ours: bool = False) -> R:
    """The result of an operation. `ours`: a client of ours asks, which knows the extensions and may name
    more instances than the vendor's clients in one call.

    Raises `Refused` (nothing was done) or `Broken`."""
    if operation.extension and not ours:
        raise Refused(
            Kind.NO_SUCH_OPERATION, f"{operation.action()} is answered to clients of this product only"
        )
    wire.check(operation)
    result = await handler_of(type(operation))(for_ours(plane) if ours else plane, operation)
    return replace(result, request_id=str(uuid.uuid4()).upper())


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
