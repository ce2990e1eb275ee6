"""Operations that other apps have put on the broker as `cloudassist.invoke` messages.

A message may come twice: its id is the ClientToken, so that a second one opens nothing new. What is refused
is told to the callback, if there is one; there is nobody else to tell. While the store or the broker is
away the message waits here: it is acknowledged only after it was carried out.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloudassist_tasks.contract.callbacks import Fault
from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.errors import wire_error
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.wire import fields_of, from_wire, to_wire
from cloudassist_tasks.domain.access import Caller
from cloudassist_tasks.domain.delivery import FAULT, Callback, checked_callback, delivery_id
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.insist import insist
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.logs import log
from cloudassist_tasks.operations.handling import handle, new_request_id

TAKEN = frozenset({"RunCommand", "InvokeCommand", "SendFile", "StopInvocation"})
"""What makes sense as a message: nobody waits for an answer."""

PARTS = frozenset({"operation", "parameters", "callback", "webhook"})


async def carry_out_message(plane: Plane, message: Mapping[str, object], *, message_id: str) -> None:
    """Carry out what an app has asked for. Raises nothing that the app is to blame for."""
    request_id = new_request_id()
    asked = OPERATIONS.get(str(message.get("operation")))
    callback: Callback | None = None
    try:
        callback = _callback(plane, message)
        operation = _operation(message, message_id)
        caller = Caller(name="broker", role=plane.settings.broker_role, ours=True, source="celery")
        await insist(lambda: handle(plane, operation, caller, request_id=request_id))
    except Refused as refusal:
        code, _ = wire_error(asked, refusal.kind)
        log("message_refused", logging.WARNING, message=message_id, code=code, error=refusal.message)
        if callback is not None:
            told = {FAULT: to_wire(Fault(code=code, message=refusal.message, request_id=request_id))}
            to = callback
            await insist(lambda: plane.dispatch.publish_callback(to, delivery_id(message_id), told))


def _callback(plane: Plane, message: Mapping[str, object]) -> Callback | None:
    given = message.get("callback")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise Refused(Kind.BAD_CALLBACK, 'the callback must be an object: {"task": …, "kwargs": {…}}')
    return checked_callback(given, allowed=plane.settings.callback_tasks)


def _operation(message: Mapping[str, object], message_id: str) -> Operation[Any]:
    """What the message asks for, with its callback, its webhook and its id as the ClientToken."""
    if unknown := sorted(set(message) - PARTS):
        raise Refused(
            Kind.BAD_VALUE, f"{unknown[0][:64]} is no part of a message; it has {', '.join(sorted(PARTS))}"
        )
    action, parameters = message.get("operation"), message.get("parameters") or {}
    if not isinstance(action, str) or action not in TAKEN or action not in OPERATIONS:
        raise Refused(
            Kind.NO_SUCH_OPERATION, f"a message may ask for {', '.join(sorted(TAKEN & set(OPERATIONS)))}"
        )
    if not isinstance(parameters, Mapping):
        raise Refused(Kind.BAD_VALUE, "parameters must be an object, with the names of the API")
    cls = OPERATIONS[action]
    operation: Operation[Any] = from_wire(cls, parameters)
    known = {field.name for field in fields_of(cls)}
    changes = {name: message[name] for name in ("callback", "webhook") if message.get(name) is not None}
    if foreign := sorted(set(changes) - known):
        raise Refused(Kind.BAD_VALUE, f"{action} takes no {foreign[0]}; leave it out")
    if "client_token" in known and getattr(operation, "client_token", None) is None:
        changes["client_token"] = _token(message_id)
    return replace(operation, **changes)


def _token(message_id: str) -> str:
    """Celery's own ids are tokens as they stand; an app may have chosen another."""
    if len(message_id) <= 64 and message_id.isascii() and message_id.isprintable():
        return message_id
    return hashlib.sha256(message_id.encode("utf-8", "replace")).hexdigest()
