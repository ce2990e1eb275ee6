"""The endpoint's one path for operations: read, authenticate, find the operation, carry it out, answer.

GET and POST on `/`. Action and version come from the headers `x-acs-action` and `x-acs-version` (V3) or from
the parameters (V1), the rest from query and form together.
"""

import asyncio
from typing import Any

from cloudassist_tasks import awake
from cloudassist_tasks.api.answers import Answer, result_answer
from cloudassist_tasks.api.authenticating import authenticated
from cloudassist_tasks.api.calls import Call
from cloudassist_tasks.api.receiving import Bodies, parameters_of
from cloudassist_tasks.api.recording import claimed_key, recorded
from cloudassist_tasks.contract.catalogue import operation_named
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.query import operation_of
from cloudassist_tasks.contract.signing import Family, Received
from cloudassist_tasks.domain.access import Caller
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle

__all__ = ["VERSION", "Operations"]

VERSION = "2014-05-26"
"""Of the vendor's API."""

ANSWER_WITHIN_S = 9.0
"""The vendor's clients wait 10 s."""

OURS_WITHIN_S = 300.0
"""Our own operations may have to wait for machines, and large ones take their time; our client waits."""

LARGE_BODY_BYTES = 64 * 1024
"""The vendor's clients send parameters in the query; a body as long is one of ours with many instances."""


class Operations:
    """Answers calls of operations."""

    def __init__(self, plane: Plane, bodies: Bodies) -> None:
        self._plane = plane
        self._bodies = bodies

    async def __call__(self, call: Call) -> Answer:
        with recorded(self._plane, call):
            received = await self._received(call)
            call.operation = operation = _operation(received)
        within_s = _within_s(operation, received)
        try:
            async with awake.timeout(within_s):
                with recorded(self._plane, call):
                    asked, caller = await self._asked(call, operation, received)
                result = await handle(self._plane, asked, caller, request_id=call.request_id)
        except TimeoutError:
            raise Broken(f"{operation.action()} was not done within {within_s:g} s; try again") from None
        if operation.extension:  # of ours alone some are large
            return await asyncio.to_thread(result_answer, operation, result, as_xml=call.as_xml)
        return result_answer(operation, result, as_xml=call.as_xml)

    async def _received(self, call: Call) -> Received:
        received = await self._bodies.received(call.request)
        call.claimed = claimed_key(received)
        call.as_xml = _wants_xml(received)
        return received

    async def _asked(
        self, call: Call, operation: type[Operation[Any]], received: Received
    ) -> tuple[Operation[Any], Caller]:
        call.caller = caller = await authenticated(self._plane, received, source=call.source)

        def read() -> Operation[Any]:
            return operation_of(operation, parameters_of(received), ours=caller.ours)

        if len(received.body) > LARGE_BODY_BYTES:  # others are answered meanwhile
            return await asyncio.to_thread(read), caller
        return read(), caller


def _within_s(operation: type[Operation[Any]], received: Received) -> float:
    """Only clients of ours ask for what may take longer: an extension, or for thousands of instances."""
    large = len(received.body) > LARGE_BODY_BYTES
    return OURS_WITHIN_S if operation.extension or large else ANSWER_WITHIN_S


def _operation(received: Received) -> type[Operation[Any]]:
    """`Refused` MISSING_ACTION, NO_SUCH_OPERATION, MISSING_VERSION, BAD_VERSION."""
    action = _named(received, "x-acs-action", "Action")
    if not action:
        raise Refused(Kind.MISSING_ACTION, "Action is missing; name an operation")
    operation = operation_named(action)
    version = _named(received, "x-acs-version", "Version")
    if not version:
        raise Refused(Kind.MISSING_VERSION, f"Version is missing; it is {VERSION}")
    if version != VERSION:
        raise Refused(Kind.BAD_VERSION, f"there is no version {version[:20]!r}; it is {VERSION}")
    return operation


def _named(received: Received, header: str, parameter: str) -> str:
    """A V1 signature does not cover headers: there the parameter counts."""
    named = dict(received.query) | dict(received.form)
    if received.family is Family.V1:
        return named.get(parameter, "")
    return received.headers.get(header) or named.get(parameter, "")


def _wants_xml(received: Received) -> bool:
    """Of V1 clients, those that do not ask for JSON. (The vendor's default is older than JSON.)"""
    if received.family is Family.V3:
        return False
    named = dict(received.query) | dict(received.form)
    default = "XML" if received.family is Family.V1 else "JSON"
    return (named.get("Format") or default).upper() == "XML"
