"""One HTTP request from its first byte to its answer: whatever happens in between, there is an answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from cloudassist_tasks.api.answers import Answer, error_answer
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.access import Caller
from cloudassist_tasks.domain.errors import Broken, CloudAssistError
from cloudassist_tasks.logs import bound, log, logger
from cloudassist_tasks.operations.handling import new_request_id

__all__ = ["Answering", "Call", "Page"]


@dataclass(slots=True, kw_only=True)
class Call:
    """What is known of a request so far; its answer is written accordingly, also that of a failure."""

    request: Request
    send: Send
    request_id: str = field(default_factory=new_request_id)
    operation: type[Operation[Any]] | None = None
    claimed: str = ""
    """The AccessKeyId that the request gives; nothing is proved by it."""
    caller: Caller | None = None
    as_xml: bool = False

    @property
    def host(self) -> str:
        """What the sender calls us; HostId of errors."""
        return self.request.headers.get("host", "")[:255]

    @property
    def source(self) -> str:
        """Where the request came from, for the audit."""
        return self.request.client.host if self.request.client else ""


Page = Callable[[Call], Awaitable[Answer | None]]
"""Answers a call; None: it has sent the answer itself, as a stream."""


class Answering:
    """An ASGI application around one page: bounds how many calls there are, and answers every failure."""

    def __init__(self, page: Page, *, at_once: int, path: str = "") -> None:
        """`path`: named in the log where no operation is."""
        self._page = page
        self._at_once = at_once
        self._path = path
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = _Sending(send)
        call = Call(request=Request(scope, receive), send=sending)
        begin = time.perf_counter()
        self._now += 1
        try:
            with bound(request_id=call.request_id):
                answer = await self._answer(call)
                if answer is not None and not sending.begun:
                    await _send(sending, answer)
                self._log(call, answer, time.perf_counter() - begin)
        finally:
            self._now -= 1

    async def _answer(self, call: Call) -> Answer | None:
        try:
            if self._now > self._at_once:
                raise Broken(f"more than {self._at_once} calls are being answered; try again")
            return await self._page(call)
        except asyncio.CancelledError:
            return _error(call, Broken("the endpoint is ending; try again"))
        except CloudAssistError as error:
            return _error(call, error)
        except Exception as error:
            known = {"request_id": call.request_id, "action": _action(call) or self._path}
            logger.error("call_failed", exc_info=error, extra={"fields": known})
            return _error(call, error)

    def _log(self, call: Call, answer: Answer | None, took_s: float) -> None:
        """Never the message of an error: that of a wrong signature holds what was signed."""
        log(
            "call_answered",
            action=_action(call) or self._path,
            status=answer.status if answer else 200,
            code=answer.code if answer else "",
            key=call.caller.name if call.caller else "",
            source=call.source,
            ms=round(1_000 * took_s, 1),
        )


class _Sending:
    """Knows whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Any) -> None:
        self.begun = True
        await self._send(message)


def _action(call: Call) -> str:
    return call.operation.action() if call.operation else ""


def _error(call: Call, error: BaseException) -> Answer:
    return error_answer(
        error, request_id=call.request_id, host=call.host, operation=call.operation, as_xml=call.as_xml
    )


async def _send(send: Send, answer: Answer) -> None:
    headers: Sequence[tuple[bytes, bytes]] = [
        *((name.encode(), value.encode()) for name, value in answer.headers.items()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
