"""A request as it comes in: parameters of query and form together, within bounds.

The body of a V3 request is a form that is read only once its signature holds (the signature covers the
body's hash); a V1 signature covers the form's parameters, so that they are read first, and are bounded
more closely.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from cloudassist_tasks.contract.signing import Family, Received
from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = ["Bodies", "parameters_of"]

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Room for 100,000 instance ids in one call of our own client."""

MAX_OTHERS_BODY_BYTES = 1024 * 1024
"""For clients that sign parameters: the vendor's never send as much."""

LARGE_BODY_BYTES = 1024 * 1024
LARGE_BODIES_AT_ONCE = 4
"""Further ones wait: bounds what bodies may hold of our memory."""

BODY_WITHIN_S = 30.0
MAX_PARAMETERS = 400_000

FORM_TYPE = "application/x-www-form-urlencoded"


class Bodies:
    """Reads requests. One for the whole endpoint."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_BODIES_AT_ONCE)

    async def received(self, request: Request) -> Received:
        """`Refused` WRONG_METHOD, REQUEST_BODY_TOO_LONG, REQUEST_TOO_SLOW, MALFORMED_REQUEST."""
        if request.method not in ("GET", "POST"):
            raise Refused(
                Kind.WRONG_METHOD, f"the method {request.method[:20]} is not taken; use GET or POST"
            )
        head = Received(
            method=request.method,
            path=request.scope["raw_path"].decode("ascii", "replace"),
            query=_pairs(request.scope["query_string"]),
            headers={_text(name): _text(value) for name, value in request.scope["headers"]},
        )
        body = await self._body(request, head)
        form = () if head.family is Family.V3 else form_of(head.headers, body)
        return replace(head, body=body, form=form)

    async def _body(self, request: Request, head: Received) -> bytes:
        limit = MAX_BODY_BYTES if head.family is Family.V3 else MAX_OTHERS_BODY_BYTES
        said = head.headers.get("content-length", "0")
        if not said.isdecimal() or int(said) > limit:
            raise _too_long(limit)
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                return await self._read(request, limit)
        except TimeoutError:
            raise Refused(
                Kind.REQUEST_TOO_SLOW, f"the body was not sent within {BODY_WITHIN_S:g} s"
            ) from None
        except ClientDisconnect:
            raise Refused(Kind.MALFORMED_REQUEST, "the connection ended before the body did") from None

    async def _read(self, request: Request, limit: int) -> bytes:
        body = bytearray()
        holds_place = False
        try:
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise _too_long(limit)
                if len(body) > LARGE_BODY_BYTES and not holds_place:
                    await self._large.acquire()
                    holds_place = True
        finally:
            if holds_place:
                self._large.release()
        return bytes(body)


def form_of(headers: Mapping[str, str], body: bytes) -> Sequence[tuple[str, str]]:
    """The parameters in a body. `Refused(MALFORMED_REQUEST)` if it is something else than a form: what it
    says must not be passed over."""
    if not body:
        return ()
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise Refused(
            Kind.MALFORMED_REQUEST, f"the body is no form; send parameters in the query or as {FORM_TYPE}"
        )
    return _pairs(body)


def parameters_of(received: Received) -> Mapping[str, str]:
    """Query and form as one, once the signature was checked. `Refused(BAD_VALUE)` for a name given twice."""
    is_v3 = received.family is Family.V3
    form = form_of(received.headers, received.body) if is_v3 else received.form
    found: dict[str, str] = {}
    for name, value in [*received.query, *form]:
        if name in found:
            raise Refused(Kind.BAD_VALUE, f"{name[:80]} is given twice; keep one of them")
        found[name] = value
    return found


def _pairs(encoded: bytes) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(
            _text(encoded),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise Refused(
            Kind.MALFORMED_REQUEST, f"the request has more than {MAX_PARAMETERS:,} parameters"
        ) from None


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _too_long(limit: int) -> Refused:
    return Refused(Kind.REQUEST_BODY_TOO_LONG, f"the body is too long; {limit:,} bytes is the limit")
