"""The way to the control plane over HTTP: what `Client(url, key)` sends with.

Operations travel as forms with the vendor's names, signed by V3 and marked as ours, so that what is ours is
answered too. A call that opens something gets a ClientToken: when an answer is lost, it is asked again, and
nothing happens twice.
"""

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cloudassist_tasks import awake
from cloudassist_tasks.client.http_connection import Connection, ConnectionFailed, Place, Reply
from cloudassist_tasks.contract.errors import Answered, kind_of
from cloudassist_tasks.contract.events import DescribeEvents, Event
from cloudassist_tasks.contract.extensions import RunMoved
from cloudassist_tasks.contract.keys import CreateAccessKeyResult
from cloudassist_tasks.contract.operation import Operation, R, result_type
from cloudassist_tasks.contract.query import flattened
from cloudassist_tasks.contract.signing import signed_headers
from cloudassist_tasks.contract.wire import from_wire
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.secret import Secret

__all__ = ["HttpSender", "Key", "KeyGiven", "key_from"]

VERSION = "2014-05-26"
CLIENT = "cloudassist-python"
FORM_TYPE = "application/x-www-form-urlencoded"

ANSWER_WITHIN_S = 15.0
"""The endpoint answers within 10."""

OURS_WITHIN_S = 310.0
"""Our own operations may wait for machines, and large calls take longer; the endpoint gives up at 300."""

LARGE_BODY_BYTES = 64 * 1024
"""From here on the endpoint takes a call for a large one."""

PAUSES_S = (0.2, 1.0)
"""Before each further attempt."""

HARMLESS = ("Describe", "List", "Select", "Probe", "Stop")
"""What these begin may be asked twice."""

MAX_IDLE = 8


@dataclass(frozen=True, slots=True)
class Key:
    """An access key, as `cloudassist key create` shows it."""

    id: str
    secret: Secret[str] = field(repr=False)


KeyGiven = Key | CreateAccessKeyResult | tuple[str, str] | str
"""A key, what made it, its id and secret, or both with a colon between."""


def key_from(given: KeyGiven | None) -> Key:
    """`Refused(BAD_SETTING)`."""
    match given:
        case Key():
            return given
        case CreateAccessKeyResult(access_key_id=id_, access_key_secret=secret):
            return Key(id_, Secret(secret))
        case (str(id_), str(secret)) if id_ and secret:
            return Key(id_, Secret(secret))
        case str() if given.partition(":")[2]:
            return Key(given.partition(":")[0], Secret(given.partition(":")[2]))
        case _:
            raise Refused(
                Kind.BAD_SETTING, "the access key must be ID:SECRET, as `cloudassist key create` prints it"
            )


class HttpSender:
    """`client.sender.Sender`. Connections are kept, and belong to the event loop that opened them."""

    def __init__(self, url: str, key: KeyGiven | None, *, ca_file: str | Path | None = None) -> None:
        """ca_file: PEM of the authority that the endpoint's certificate is checked with, where it is not one
        that the system knows. `Refused(BAD_SETTING)`."""
        self._place = _place_of(url, ca_file)
        self._key = key_from(key)
        self._idle: list[Connection] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, operation: Operation[R]) -> R:
        operation = _with_token(operation)
        content = await self._content(operation)
        return from_wire(result_type(type(operation)), content)

    async def moves(self, invoke_id: str) -> AsyncIterator[RunMoved]:
        async for event in self.events(None, invoke_id=invoke_id):
            if event.instance_id:
                yield RunMoved(
                    instance_id=event.instance_id, invocation_status=event.status, ended=event.ended
                )

    async def events(self, after: str | None, *, invoke_id: str | None = None) -> AsyncIterator[Event]:
        given = {"After": after, "InvokeId": invoke_id}
        query = [(name, value) for name, value in given.items() if value]
        headers = self._signed("GET", "/events", query, {})
        try:
            async with await Connection.open(self._place) as connection:
                async for line in connection.lines("GET", f"/events?{urlencode(query)}", headers):
                    if (event := _event(line)) is not None:
                        yield event
            raise ConnectionFailed("the stream has ended", sent=True)
        except ConnectionFailed as failure:
            raise self._away(failure) from failure

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # -- one operation

    async def _content(self, operation: Operation[Any]) -> Mapping[str, Any]:
        """The JSON of its answer, after as many attempts as may be made of it."""
        harmless = _may_repeat(operation)
        for pause_s in (*PAUSES_S, None):
            try:
                return _parsed(await self._exchange(operation), type(operation))
            except ConnectionFailed as failure:
                if pause_s is None or (failure.sent and not harmless):
                    raise self._away(failure) from failure
            except Broken:
                if pause_s is None or not harmless:
                    raise
            await asyncio.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    async def _exchange(self, operation: Operation[Any]) -> Reply:
        body = urlencode(flattened(operation)).encode()
        headers = {"x-acs-action": operation.action(), "x-acs-version": VERSION, "content-type": FORM_TYPE}
        patient = operation.extension or len(body) > LARGE_BODY_BYTES
        within_s = OURS_WITHIN_S if patient else ANSWER_WITHIN_S
        connection = await self._connection()
        try:
            async with awake.timeout(within_s):
                signed = self._signed("POST", "/", (), headers, body)
                return await connection.exchange("POST", "/", signed, body)
        except TimeoutError as error:
            raise ConnectionFailed(f"no answer within {within_s:g} s", sent=True) from error
        finally:
            self._keep(connection)

    def _signed(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> dict[str, str]:
        ours = {"host": self._place.authority, "user-agent": CLIENT, "x-cloudassist-client": CLIENT}
        return signed_headers(
            method=method,
            path=path,
            query=query,
            headers={**ours, **headers},
            body=body,
            key_id=self._key.id,
            secret=self._key.secret,
            nonce=uuid.uuid4().hex,
            now_ms=int(time.time() * 1_000),
        )

    # -- connections

    async def _connection(self) -> Connection:
        """One that is kept and that the other side has not closed, or a new one. `ConnectionFailed`."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # another one, or a forked child's: what was opened there stays there
            self._loop, self._idle = loop, []
        while self._idle:
            connection = self._idle.pop()
            if not connection.ended:
                return connection
            connection.close()
        return await Connection.open(self._place)

    def _keep(self, connection: Connection) -> None:
        if connection.reusable and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _away(self, failure: ConnectionFailed) -> Broken:
        return Broken(f"the endpoint at {self._place.authority} cannot be used: {failure}; is it up?")


def _place_of(url: str, ca_file: str | Path | None) -> Place:
    parts = urlsplit(url)
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
        raise Refused(Kind.BAD_SETTING, f"{url[:100]!r} is no endpoint's address; write http://HOST:PORT")
    tls = None
    if parts.scheme == "https":
        try:
            tls = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise Refused(Kind.BAD_SETTING, f"cannot use the authority in {ca_file}: {error}") from error
    return Place(host=parts.hostname, port=parts.port or (443 if tls else 80), tls=tls)


def _with_token(operation: Operation[R]) -> Operation[R]:
    if any(one.name == "client_token" for one in fields(operation)) and not operation.client_token:  # type: ignore[attr-defined]
        return replace(operation, client_token=uuid.uuid4().hex)  # type: ignore[call-arg]
    return operation


def _may_repeat(operation: Operation[Any]) -> bool:
    return bool(getattr(operation, "client_token", "")) or operation.action().startswith(HARMLESS)


def _parsed(reply: Reply, operation: type[Operation[Any]]) -> Mapping[str, Any]:
    """`Answered`; `Broken` for a fault of the other side, or an answer that is not an endpoint's."""
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Broken(f"what answers is no CloudAssist endpoint (status {reply.status}); check the address")
    if reply.status == 200:
        return content
    code, message = str(content.get("Code", "")), str(content.get("Message", ""))
    request_id = str(content.get("RequestId", ""))
    if reply.status >= 500:
        raise Broken(f"{message} (RequestId {request_id})")
    raise Answered(kind_of(operation, code), message, code=code, status=reply.status, request_id=request_id)


def _event(line: str) -> Event | None:
    """What a line of the stream tells, if it does. Raises what it says if that is an error."""
    word, _, body = line.partition(" ")
    if word == "data:":
        content = json.loads(body)
        if "Kind" in content:
            return from_wire(Event, content)
        word = "400"
    if word.isdecimal():
        _parsed(Reply(status=int(word), headers={}, body=body.encode()), DescribeEvents)
    return None
