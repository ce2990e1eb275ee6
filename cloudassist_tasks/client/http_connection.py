"""HTTP/1.1 as our client needs it, on asyncio's streams: a request, and an answer whole or line by line.

The standard library has none that can be cancelled. Nothing is decompressed, redirected or kept in a proxy:
what was signed for a host goes to that host.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from cloudassist_tasks import awake

__all__ = ["Connection", "ConnectionFailed", "Place", "Reply"]

MAX_LINE_BYTES = 1024 * 1024
"""Of a header or of a line of a stream."""

MAX_HEADERS = 100
MAX_BODY_BYTES = 256 * 1024 * 1024


class ConnectionFailed(Exception):
    """The endpoint could not be reached, or what answers does not speak HTTP."""

    def __init__(self, why: str, *, sent: bool) -> None:
        """`sent`: the request may have arrived."""
        super().__init__(why)
        self.sent = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an endpoint is."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    connect_within_s: float = 5.0

    @property
    def authority(self) -> str:
        """As the Host header names it; the port is always there, since it is signed."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes = field(repr=False)


class Connection:
    """One connection; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.reusable = True
        """Another request may follow."""

    @classmethod
    async def open(cls, place: Place) -> Self:
        """`ConnectionFailed`, nothing sent."""
        try:
            async with awake.timeout(place.connect_within_s):
                reader, writer = await asyncio.open_connection(
                    place.host, place.port, ssl=place.tls, limit=MAX_LINE_BYTES
                )
        except TimeoutError as error:
            raise ConnectionFailed(f"no answer within {place.connect_within_s:g} s", sent=False) from error
        except OSError as error:  # ssl.SSLError too
            raise ConnectionFailed(_said(error), sent=False) from error
        return cls(reader, writer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """The other side has closed it."""
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """End it at once."""
        self.reusable = False
        self._writer.close()

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """One request and its whole answer. `ConnectionFailed`; interrupted, the connection is closed."""
        finished = False
        try:
            status, answered = await self._begin(method, target, headers, body)
            content = b"".join([part async for part in self._body(status, answered)])
            finished = True
            return Reply(status=status, headers=answered, body=content)
        except (OSError, EOFError, ValueError) as error:
            raise ConnectionFailed(_said(error), sent=True) from error
        finally:
            if not (finished and self.reusable):
                self.close()

    async def lines(self, method: str, target: str, headers: Mapping[str, str]) -> AsyncIterator[str]:
        """An answer as it comes, by lines without their ends; one with another status than 200 is one line of
        its body, behind the status. The connection is closed at the end. `ConnectionFailed`."""
        try:
            status, answered = await self._begin(method, target, headers, b"")
            if status != 200:
                body = b"".join([part async for part in self._body(status, answered)])
                yield f"{status} {body.decode(errors='replace')}"
                return
            rest = b""
            async for part in self._body(status, answered):
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    yield line.rstrip(b"\r").decode(errors="replace")
                if len(rest) > MAX_LINE_BYTES:
                    raise ValueError("a line without an end")
        except (OSError, EOFError, ValueError) as error:
            raise ConnectionFailed(_said(error), sent=True) from error
        finally:
            self.close()

    # -- inside

    async def _begin(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str]]:
        head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self._writer.write("\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body)
        await self._writer.drain()
        while True:
            status, answered = await self._read_head()
            if status >= 200:
                break
        self.reusable = answered.get("connection", "").lower() != "close"
        return status, answered

    async def _read_head(self) -> tuple[int, Mapping[str, str]]:
        version, _, rest = (await self._line()).partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError("what answers does not speak HTTP/1.1")
        status = int(rest[:3])
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADERS):
            line = await self._line()
            if not line:
                return status, headers
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        raise ValueError("too many headers in the answer")

    async def _line(self) -> str:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the connection was closed before the answer")
        return line.rstrip(b"\r\n").decode("latin-1")

    async def _body(self, status: int, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            async for chunk in self._chunks():
                yield chunk
        elif "content-length" in headers:
            length = int(headers["content-length"])
            if not 0 <= length <= MAX_BODY_BYTES:
                raise ValueError("the answer is too long")
            yield await self._reader.readexactly(length)
        elif status != 204:
            self.reusable = False
            while part := await self._reader.read(64 * 1024):
                yield part

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self._line()).partition(";")[0], 16):
            if not 0 < size <= MAX_BODY_BYTES:
                raise ValueError("the answer is too long")
            yield await self._reader.readexactly(size)
            await self._line()
        while await self._line():
            pass


def _said(error: Exception) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "the connection was closed within the answer"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)  # asyncio's own text has the address in it
    return str(error) or type(error).__name__
