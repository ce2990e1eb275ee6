"""Record each call: whoever asked, whatever came of it.

Calls that may change something are on record before they are answered; the others, and those of strangers,
shortly after. Where the store is away the call's own answer goes first, and its record once that is back.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from cloudassist_tasks.contract.errors import wire_error_of
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.wire import Form, fields_of
from cloudassist_tasks.domain.access import Caller, Role
from cloudassist_tasks.domain.audit import SUCCESS, AuditPart, AuditRecord
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.authorization import rule_of
from cloudassist_tasks.ports.audit import Keep

SHOWN_CHARS = 200
"""Of a text; the rest is counted."""
SHOWN_ITEMS = 20
"""Of a list, or a mapping's names."""

MASK = "***"

_DAY_MS = 86_400_000
_URL = re.compile(r"(://)(?:[^/?#\s]*@)?([^/?#\s]*)[/?#]\S*")
"""Its path may be a secret as well."""


async def record_call(
    plane: Plane,
    operation: Operation[Any],
    caller: Caller,
    request_id: str,
    *,
    error: BaseException | None = None,
    result: object = None,
) -> None:
    """A call of an operation that has ended, by an error or with a result. Never raises."""
    action = operation.action()
    part = _part(action)
    outcome, status = (SUCCESS, 200) if error is None else wire_error_of(error, type(operation))
    entry = AuditRecord(
        part=part,
        at_ms=plane.clock.now_ms(),
        caller=caller.name,
        role=caller.role,
        source=caller.source,
        action=action,
        arguments=shown_arguments(operation),
        outcome=outcome,
        status=status,
        request_id=request_id,
        invoke_id=_opened(result),
    )
    # One who was cancelled, or whose store is away, does not wait for another try.
    hurried = isinstance(error, Broken) or not isinstance(error, Exception | None)
    if part is AuditPart.READS or hurried:
        plane.store.audit.write_soon(entry, _keep(plane))
        return
    try:
        await plane.store.audit.write(entry, _keep(plane))
    except Broken:
        plane.store.audit.write_soon(entry, _keep(plane))


def record_refusal(
    plane: Plane,
    error: BaseException,
    *,
    request_id: str,
    source: str,
    action: str = "",
    operation: type[Operation[Any]] | None = None,
    caller: Caller | None = None,
    claimed: str = "",
) -> None:
    """A call that was refused before it could be carried out: by an unknown or disabled key, a bad signature,
    parameters that cannot be read. Whoever takes calls from outside says so; it is on record shortly.

    `caller`: once the signature was found good; before that, `claimed` is the AccessKeyId that was given."""
    action = operation.action() if operation is not None else action
    outcome, status = wire_error_of(error, operation)
    plane.store.audit.write_soon(
        AuditRecord(
            part=AuditPart.STRANGERS if caller is None else _part(action),
            at_ms=plane.clock.now_ms(),
            caller=claimed[:64] if caller is None else caller.name,
            role="" if caller is None else caller.role,
            source=source,
            action=action[:64],
            outcome=outcome,
            status=status,
            request_id=request_id,
        ),
        _keep(plane),
    )


def shown_arguments(operation: Operation[Any]) -> Mapping[str, object]:
    """What was given, by its name on the wire. Fields without a repr, and the values of mappings, are secrets
    and masked."""
    return _fields(operation)


def _part(action: str) -> AuditPart:
    return AuditPart.READS if rule_of(action).least is Role.VIEWER else AuditPart.CHANGES


def _opened(result: object) -> str:
    invoke_id = getattr(result, "invoke_id", "")
    return invoke_id if isinstance(invoke_id, str) else ""


def _keep(plane: Plane) -> Keep:
    settings = plane.settings
    return Keep(since_ms=plane.clock.now_ms() - settings.audit_days * _DAY_MS, most=settings.audit_records)


def _fields(value: Any) -> dict[str, object]:
    shown: dict[str, object] = {}
    for own, field in zip(dataclasses.fields(value), fields_of(type(value)), strict=True):
        content = getattr(value, own.name)
        if content is None or content == own.default or content in ((), [], ""):
            continue
        secret = not own.repr or field.shape.form is Form.MAP
        shown[field.wire] = _masked(content) if secret else _shown(content)
    return shown


def _masked(content: object) -> object:
    match content:
        case str() | bytes():
            return f"{MASK} ({len(content):,} characters)"
        case Mapping():
            names = [_shortened(str(name)) for name in list(content)[:SHOWN_ITEMS]]
            return dict.fromkeys(names, MASK)
        case _:
            return MASK


def _shown(content: object) -> object:
    """A program may have put anything anywhere: what is not of the contract is not shown."""
    match content:
        case bool() | int() | float():
            return content
        case str():
            return _shortened(_URL.sub(r"\1\2/***", content))
        case list() | tuple():
            items = [_shown(one) for one in content[:SHOWN_ITEMS]]
            more = len(content) - SHOWN_ITEMS
            return [*items, f"and {more:,} more"] if more > 0 else items
        case _ if dataclasses.is_dataclass(content) and not isinstance(content, type):
            return _fields(content)
        case _:
            return type(content).__name__


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}… ({len(text):,} characters)"
