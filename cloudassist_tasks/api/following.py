"""Pages that wait: `/wait` answers when an invocation closes, `/events` tells what happens as it happens.

Signed as any call; exempt from the bound on an answer's time, and bounded in number instead. Both ask through
`handle` once (who may see what is decided there), then look by themselves. They end with the sender's
connection and with the endpoint.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from starlette.types import Receive

from cloudassist_tasks.api.answers import Answer, error_answer, json_answer
from cloudassist_tasks.api.authenticating import authenticated
from cloudassist_tasks.api.calls import Call
from cloudassist_tasks.api.receiving import Bodies, parameters_of
from cloudassist_tasks.api.recording import claimed_key, recorded
from cloudassist_tasks.contract.events import DescribeEvents
from cloudassist_tasks.contract.extensions import DescribeRuns
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.domain.errors import CloudAssistError, Kind, Refused
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.authentication import credentials
from cloudassist_tasks.operations.events import event_item
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.operations.runs import known_invocation
from cloudassist_tasks.operations.views import invocation_state

__all__ = ["Following"]

LONGEST_WAIT_S = 300
USUAL_WAIT_S = 60

LOOK_S = 2.0
"""How often to look without a hint; a lost one is made good by then."""

BREATH_S = 0.2
"""Between two looks, however many hints come."""

STILL_HERE_S = 15.0
"""A silent stream says so now and then: else proxies end it."""


class Following:
    """The two pages."""

    def __init__(self, plane: Plane, bodies: Bodies, ending: asyncio.Event) -> None:
        """`ending`: set once the endpoint is to end."""
        self._plane = plane
        self._bodies = bodies
        self._ending = ending

    async def wait(self, call: Call) -> Answer:
        """The invocation as soon as it is closed, or as it is when the time is over."""
        with recorded(self._plane, call, "wait"):
            parameters = await self._asked(call)
            invoke_id, within_s = parameters.get("InvokeId", ""), _seconds(parameters)
            if not invoke_id:
                raise Refused(Kind.MISSING_VALUE, "InvokeId is missing; give it", about="InvokeId")
        assert call.caller is not None
        described = await handle(
            self._plane, DescribeRuns(invoke_id=invoke_id), call.caller, request_id=call.request_id
        )
        async with self._interruption(call) as interrupted:
            looking = asyncio.create_task(self._closed(InvokeId(invoke_id)))
            await asyncio.wait({looking, interrupted}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            await _end(looking)
        state = invocation_state(await known_invocation(self._plane, invoke_id))
        content = to_wire(replace(described, invocation=state)) | {"Closed": state.closed}
        return json_answer(content, request_id=call.request_id)

    async def events(self, call: Call) -> None:
        """Server-sent events, each with its cursor as id; from `Last-Event-ID` or After on, else from now."""
        with recorded(self._plane, call, "events"):
            parameters = await self._asked(call)
        after = call.request.headers.get("last-event-id") or parameters.get("After") or None
        invoke_id = parameters.get("InvokeId") or None
        assert call.caller is not None
        asked = DescribeEvents(after=after, invoke_id=invoke_id)
        described = await handle(self._plane, asked, call.caller, request_id=call.request_id)
        await _begin_stream(call, described.cursor)
        for event in described.events:
            await _say(call, _message(event.cursor, event.kind, to_wire(event)))
        async with self._interruption(call) as interrupted:
            telling = asyncio.create_task(self._tell(call, call.caller.name, described.cursor, invoke_id))
            await asyncio.wait({telling, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            await _end(telling)
        await call.send({"type": "http.response.body", "body": b""})

    # -- inside

    async def _asked(self, call: Call) -> Mapping[str, str]:
        """Its parameters, once the caller is known. What is asked here is ours, whoever's client asks."""
        received = await self._bodies.received(call.request)
        call.claimed = claimed_key(received)
        caller = await authenticated(self._plane, received, source=call.source)
        call.caller = replace(caller, ours=True)
        return parameters_of(received)

    async def _closed(self, invoke_id: InvokeId) -> None:
        """Return once the invocation is closed."""
        async with _moves(self._plane, invoke_id) as moved:
            while not invocation_state(await known_invocation(self._plane, invoke_id)).closed:
                await asyncio.sleep(BREATH_S)
                try:
                    async with asyncio.timeout(LOOK_S):
                        await moved.wait()
                except TimeoutError:
                    pass
                moved.clear()

    async def _tell(self, call: Call, key_id: str, cursor: str, invoke_id: str | None) -> None:
        """Until the key is disabled or removed, at the latest."""
        try:
            while True:
                happened = await self._plane.store.events.wait(
                    cursor, within_s=STILL_HERE_S, invoke_id=InvokeId(invoke_id) if invoke_id else None
                )
                await credentials(self._plane, key_id)
                cursor = happened.cursor
                for event in happened.events:
                    await _say(call, _message(event.cursor, event.kind, to_wire(event_item(event))))
                if not happened.events:
                    await _say(call, ": still here\n\n")
        except CloudAssistError as error:
            told = error_answer(error, request_id=call.request_id, host=call.host)
            await _say(call, f"event: error\ndata: {told.body.decode()}\n\n")

    @asynccontextmanager
    async def _interruption(self, call: Call) -> AsyncIterator[asyncio.Task[None]]:
        """Done once the sender is gone or the endpoint ends."""
        either = asyncio.create_task(_first(_gone(call.request.receive), self._ending))
        try:
            yield either
        finally:
            await _end(either)


async def _first(gone: Coroutine[Any, Any, None], ending: asyncio.Event) -> None:
    tasks = {asyncio.create_task(gone), asyncio.create_task(_set(ending))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def _moves(plane: Plane, invoke_id: InvokeId) -> AsyncIterator[asyncio.Event]:
    """Set whenever a run of the invocation moves. Without hints, looks now and then have to do."""
    moved = asyncio.Event()

    async def listen() -> None:
        async with plane.notify.moves(invoke_id) as moves:
            async for _ in moves:
                moved.set()

    listening = asyncio.create_task(listen())
    try:
        yield moved
    finally:
        await _end(listening)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancelled, and gone. Its failure is raised, unless it is one of hints."""
    while not task.done():
        task.cancel()  # once more: redis-py 8.1 loses one that comes while it connects
        await asyncio.wait([task], timeout=0.05)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


def _seconds(parameters: Mapping[str, str]) -> int:
    text = parameters.get("Timeout", str(USUAL_WAIT_S))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= LONGEST_WAIT_S):
        raise Refused(Kind.BAD_VALUE, f"Timeout must be 0 to {LONGEST_WAIT_S} seconds")
    return int(text)


async def _begin_stream(call: Call, cursor: str) -> None:
    headers = {
        "content-type": "text/event-stream;charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "x-acs-request-id": call.request_id,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await call.send({"type": "http.response.start", "status": 200, "headers": encoded})
    await _say(call, f"id: {cursor}\n\n")


async def _say(call: Call, text: str) -> None:
    await call.send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _message(cursor: str, kind: str, content: Mapping[str, object]) -> str:
    data = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return f"id: {cursor}\nevent: {kind}\ndata: {data}\n\n"
