"""One call: whatever its page does, there is one answer."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from cloudassist_tasks.api.answers import Answer, json_answer
from cloudassist_tasks.api.calls import Answering, Call
from cloudassist_tasks.domain.errors import Broken, Kind, Refused

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "query_string": b"",
    "headers": [(b"host", b"here:8080")],
    "client": ("127.0.0.1", 1),
}


async def answered(application: Answering) -> tuple[int, dict[bytes, bytes], Any]:
    """What goes out."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await application(SCOPE, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])


def failing(error: BaseException) -> Callable[[Call], Any]:
    async def page(call: Call) -> Answer:
        raise error

    return page


async def test_a_fault_that_nobody_foresaw_is_told_by_its_request_id_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status, headers, error = await answered(Answering(failing(ValueError("the script's text")), at_once=1))

    assert (status, error["Code"], error["HostId"]) == (500, "InternalError", "here:8080")
    assert "script" not in json.dumps(error)
    assert headers[b"x-acs-request-id"].decode() == error["RequestId"]
    (record,) = [record for record in caplog.records if record.message == "call_failed"]
    assert record.exc_info is not None
    assert vars(record)["fields"]["request_id"] == error["RequestId"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refused(Kind.WRONG_METHOD, "no"), 403, "UnsupportedHTTPMethod"),
        (Broken("the store is away"), 503, "ServiceUnavailable"),
        (asyncio.CancelledError(), 503, "ServiceUnavailable"),
        (RecursionError(), 500, "InternalError"),
    ],
)
async def test_every_failure_has_its_code(error: BaseException, status: int, code: str) -> None:
    told, headers, content = await answered(Answering(failing(error), at_once=1))

    assert (told, content["Code"]) == (status, code)
    assert (b"retry-after" in headers) == (status == 503)


async def test_more_calls_than_can_be_answered_are_told_to_come_again() -> None:
    goes_on = asyncio.Event()

    async def slow(call: Call) -> Answer:
        await goes_on.wait()
        return json_answer({})

    application = Answering(slow, at_once=2)
    waiting = [asyncio.create_task(answered(application)) for _ in range(2)]
    await asyncio.sleep(0)

    surplus = await answered(application)
    goes_on.set()

    assert (surplus[0], surplus[2]["Code"]) == (503, "ServiceUnavailable")
    assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200, 200]
    assert (await answered(application))[0] == 200


async def test_bytes_that_are_no_text_do_not_break_an_answer() -> None:
    status, _, error = await answered(Answering(failing(Refused(Kind.BAD_VALUE, "odd: \udc80")), at_once=1))

    assert (status, error["Message"]) == (400, "odd: \udc80")
