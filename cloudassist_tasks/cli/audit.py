"""`cloudassist audit`: who called what, when, from where, and what came of it."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated

import typer

from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.render import As, asked_form, document, line, lines, table
from cloudassist_tasks.cli.session import Session, opened
from cloudassist_tasks.contract.audit import AuditItem, DescribeAuditRecords
from cloudassist_tasks.operations.audit import newer

PAGE = 200
LOOKED_FOR_EVERY_S = 0.5
"""How soon a new record is shown to a follower."""

_HEADERS = ("TIME", "CALLER", "FROM", "ACTION", "OUTCOME", "REQUEST ID", "ARGUMENTS")
_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def audit(
    key: Annotated[
        str | None, typer.Option("--key", metavar="ID", help="Calls of this key; also local, broker.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="GLOB", help="Calls of these operations.")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", metavar="GLOB", help="Success, or the code of an error.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME|AGE", help="Not before: 2026-01-31T12:00:00Z, or 2h."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest.")
    ] = 1_000,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Calls on record, newest first; with -f oldest first."""
    form = asked_form(as_json, as_ndjson)
    if follow and form is As.JSON:
        raise BadUsage("--json is one document, which has no end with -f; use --ndjson")
    request = DescribeAuditRecords(
        caller=key,
        action_name=action,
        outcome=outcome,
        start_time=_since(since),
        max_results=min(PAGE, limit),
    )
    with opened() as session:
        if follow:
            _follow(session, request, limit, form)
            return
        found = list(islice(_all(session, request), limit))
    if form is As.TEXT:
        table(_HEADERS, [_row(item) for item in found])
    elif form is As.JSON:
        document([_json(item) for item in found])
    else:
        lines(_json(item) for item in found)


def _all(session: Session, request: DescribeAuditRecords) -> Iterator[AuditItem]:
    while True:
        answer = session.ask(request)
        yield from answer.audit_records
        if not answer.next_token:
            return
        request = replace(request, next_token=answer.next_token)


def _follow(session: Session, request: DescribeAuditRecords, limit: int, form: As) -> None:
    """The newest ones, then each as it comes; what is looked up meanwhile is no call and on no record."""
    position = session.wait(session.plane.store.audit.newest())
    past = list(islice(_all(session, request), limit))
    shown = {item.call_request_id for item in past}
    for item in reversed(past):
        _show(item, form)

    async def go_on() -> None:
        after = position
        while True:
            items, after = await newer(session.plane, request, after)
            for item in items:
                if item.call_request_id not in shown:
                    _show(item, form)
            if not items:
                await asyncio.sleep(LOOKED_FOR_EVERY_S)

    session.wait(go_on())


def _show(item: AuditItem, form: As) -> None:
    lines([_json(item)]) if form is As.NDJSON else line("  ".join(cell or "-" for cell in _row(item)))


def _row(item: AuditItem) -> tuple[str, ...]:
    arguments = json.dumps(dict(item.arguments), ensure_ascii=False) if item.arguments else ""
    return (
        item.time,
        item.caller,
        item.source,
        item.action,
        item.outcome,
        item.call_request_id,
        arguments.replace("\n", " "),
    )


def _since(text: str | None) -> str | None:
    """A time as it is; an age counts from now."""
    if text is None or not (age := _AGE.fullmatch(text)):
        return text
    begin = datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    return begin.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(item: AuditItem) -> dict[str, object]:
    return {
        "time": item.time,
        "caller": item.caller,
        "role": item.role,
        "source": item.source,
        "action": item.action,
        "arguments": dict(item.arguments),
        "outcome": item.outcome,
        "status": item.status,
        "request_id": item.call_request_id,
        "invoke_id": item.invoke_id,
    }
