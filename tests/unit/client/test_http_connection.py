"""HTTP as our client speaks it, against servers that answer in every way they may."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cloudassist_tasks.client.http_connection import Connection, ConnectionFailed, Place


@asynccontextmanager
async def answering(*parts: bytes, then_close: bool = True) -> AsyncIterator[Place]:
    """A server that answers each request with these bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                if then_close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield Place(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def exchange(place: Place) -> tuple[int, bytes, bool]:
    async with await Connection.open(place) as connection:
        reply = await connection.exchange("GET", "/", {"host": place.authority}, b"")
        return reply.status, reply.body, connection.reusable


@pytest.mark.parametrize(
    ("answer", "body", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", b"ok", False),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\na: b\r\n\r\n",
            b"ok",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nok", b"ok", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", True),
    ],
    ids=["length", "to be closed", "chunks", "until the end", "after a go-ahead"],
)
async def test_a_body_ends_in_any_of_the_ways_of_http(answer: bytes, body: bytes, reusable: bool) -> None:
    async with answering(answer) as place:
        assert await exchange(place) == (200, body, reusable)


async def test_a_connection_carries_many_requests() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    async with answering(answer, then_close=False) as place, await Connection.open(place) as connection:
        bodies = [(await connection.exchange("GET", "/", {}, b"")).body for _ in range(3)]

    assert bodies == [b"ok"] * 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2_000_000 + b"\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[:40]),
)
async def test_an_answer_that_is_none_fails_and_may_have_arrived(answer: bytes) -> None:
    async with answering(answer) as place:
        with pytest.raises(ConnectionFailed) as failed:
            await exchange(place)

    assert failed.value.sent


async def test_nobody_there_is_known_before_anything_is_sent() -> None:
    async with answering(b"") as place:
        pass

    with pytest.raises(ConnectionFailed, match="refused") as failed:
        await Connection.open(place)
    assert not failed.value.sent


async def test_lines_come_as_they_are_sent() -> None:
    parts = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na\nb",
        b"c\r\n3\r\nd\r\n\r\n0\r\n\r\n",
    )
    async with answering(*parts) as place, await Connection.open(place) as connection:
        lines = [line async for line in connection.lines("GET", "/", {})]

    assert lines == ["a", "bcd"]
