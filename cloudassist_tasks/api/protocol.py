"""HTTP/1.1 below the application: what is answered before there is a request.

uvicorn's own answers to what it cannot parse are plain text, and it waits for ever for a request that was
begun. Here they are errors of ours, in our form, and slow or surplus clients are let go. Subclasses
uvicorn 0.54's protocol (pinned): `send_400_response` is what it calls inside its `except`.
"""

import asyncio
import sys
import uuid
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from cloudassist_tasks.api.answers import Answer, error_answer
from cloudassist_tasks.domain.errors import Broken, Kind, Refused

__all__ = ["MAX_HEAD_BYTES", "EndpointProtocol"]

MAX_HEAD_BYTES = 256 * 1024
"""Of request line and headers together. The vendor's clients put whole scripts into the line."""

PART_BYTES = 16 * 1024
"""How much is parsed at once: h11 looks at its bound only where a head is not whole yet."""

HEAD_WITHIN_S = 15.0
"""How long the head of a request may take, from its first byte; and the first one, from the connect."""

READ_WITHIN_S = 60.0
"""How long a client may take nothing of an answer that waits for it."""

MAX_CONNECTIONS = 1_000

LINGER_S = 1.0
"""How long what a client still sends is thrown away after an answer that ends the connection: closing on
unread bytes would reset it, and the answer would be lost."""


class EndpointProtocol(H11Protocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waits: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._end(Broken(f"more than {MAX_CONNECTIONS:,} connections are open; try again"))
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PART_BYTES):
            if self._ending:
                return
            super().data_received(data[start : start + PART_BYTES])
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        unread = self.conn.their_state is h11.SEND_BODY and self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
        if begun or unread:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """More is to be sent than the client takes for now."""
        super().pause_writing()
        self._stalled = self.loop.call_later(READ_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # closing would wait for a client that does not read
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Called while h11's refusal is being handled."""
        refusal = sys.exc_info()[1]
        if getattr(refusal, "error_status_hint", 400) != 431:
            self._end(Refused(Kind.MALFORMED_REQUEST, "this is not a request of HTTP/1.1"))
        elif b"\n" in self.conn.trailing_data[0]:
            limit = f"{MAX_HEAD_BYTES:,} bytes is the limit"
            self._end(Refused(Kind.REQUEST_HEADER_TOO_LONG, f"the headers are too long; {limit}"))
        else:
            limit = f"{MAX_HEAD_BYTES:,} bytes is the limit; send parameters as a form"
            self._end(Refused(Kind.REQUEST_LINE_TOO_LONG, f"the request line is too long; {limit}"))

    # -- slow clients

    def _wait_for_head(self) -> None:
        if self._waits is None:
            self._waits = self.loop.call_later(HEAD_WITHIN_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _too_slow(self) -> None:
        self._waits = None
        if not self.transport.is_closing():
            self._end(Refused(Kind.REQUEST_TOO_SLOW, f"the request was not sent within {HEAD_WITHIN_S:g} s"))

    # -- an answer without a request, and the end

    def _end(self, error: Exception) -> None:
        self._ending = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        answer = error_answer(error, request_id=str(uuid.uuid4()).upper(), host=self._host())
        try:
            for part in _events(answer):
                self.transport.write(self.conn.send(part) or b"")
        except h11.LocalProtocolError:  # an answer to an earlier request is on its way
            self.transport.close()
            return
        self.loop.call_later(LINGER_S, self.transport.abort)

    def _host(self) -> str:
        return f"{self.server[0]}:{self.server[1]}" if self.server else ""


def _events(answer: Answer) -> tuple[h11.Response, h11.Data, h11.EndOfMessage]:
    headers = [*answer.headers.items(), ("content-length", str(len(answer.body))), ("connection", "close")]
    response = h11.Response(
        status_code=answer.status,
        headers=[(name.encode(), value.encode()) for name, value in headers],
        reason=STATUS_PHRASES[answer.status],
    )
    return response, h11.Data(data=answer.body), h11.EndOfMessage()
