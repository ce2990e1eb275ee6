"""`/wait` and `/events`: asked once, answered when something happens."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from cloudassist_tasks.client.door import Client, Invocation
from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401
from tests.support.eventually import eventually
from tests.support.raw_http import Raw, call, raw_v1_query, signed


@pytest.fixture
def endpoint(served_installation: Endpoint) -> Endpoint:  # noqa: F811
    assert served_installation.installation is not None
    served_installation.installation.add("i-1", "i-2")
    return served_installation


@contextmanager
def held(endpoint: Endpoint, *instances: str) -> Iterator[Invocation]:
    """An invocation that runs until it is stopped at the end of the block."""
    invocation = endpoint.client.run("sleep 600", instances=instances, timeout=600)
    eventually(lambda: invocation.status == "Running", within=60)
    try:
        yield invocation
    finally:
        invocation.stop()
        invocation.wait(timeout=120)


def wait(endpoint: Endpoint, **parameters: str) -> Raw:
    return call(endpoint, "", parameters, method="GET", path="/wait")


# -- waiting


def test_a_wait_is_answered_at_the_close(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(1) as pool, held(endpoint, "i-1") as invocation:
        answering = pool.submit(wait, endpoint, InvokeId=invocation.id, Timeout="60")
        assert not answering.done()

        invocation.stop()

        answer = answering.result(timeout=120)
    state = answer.json["Invocation"]
    assert (answer.status, answer.json["Closed"]) == (200, True)
    assert (state["InvokeId"], state["InvocationStatus"]) == (invocation.id, "Stopped")
    assert answer.headers["x-acs-request-id"] == answer.json["RequestId"]


def test_a_wait_that_is_over_first_tells_how_it_stands(endpoint: Endpoint) -> None:
    with held(endpoint, "i-1") as invocation:
        begin = time.monotonic()
        answer = wait(endpoint, InvokeId=invocation.id, Timeout="1")

    assert (answer.json["Closed"], answer.json["Invocation"]["InvocationStatus"]) == (False, "Running")
    assert time.monotonic() - begin >= 1


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"InvokeId": "t-unknown"}, 404, "InvalidInvokeId.NotFound"),
        ({}, 400, "MissingInvokeId"),
        ({"InvokeId": "t-1", "Timeout": "301"}, 400, "InvalidParameter"),
        ({"InvokeId": "t-1", "Timeout": "soon"}, 400, "InvalidParameter"),
    ],
)
def test_a_wait_for_nothing_is_refused_at_once(
    endpoint: Endpoint, parameters: dict[str, str], status: int, code: str
) -> None:
    answer = wait(endpoint, **parameters)

    assert (answer.status, answer.code) == (status, code)


# -- events


class Stream:
    """A stream of server-sent events."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = connection.makefile("rb")
        self.status = int(self._lines.readline().split()[1])
        while self._lines.readline().strip():
            pass

    def next(self) -> tuple[str, str, Any]:
        """Cursor, kind and content of the next event."""
        found: dict[str, str] = {}
        for line in self._lines:
            name, _, value = line.decode().strip().partition(": ")
            if name in ("id", "event", "data"):
                found[name] = value
            if "data" in found:
                return found["id"], found["event"], json.loads(found["data"])
        raise EOFError


@contextmanager
def stream(endpoint: Endpoint, **parameters: str) -> Iterator[Stream]:
    request = signed(endpoint, "", parameters, key=endpoint.key, method="GET", path="/events")
    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as connection:
        connection.sendall(request)
        yield Stream(connection)


def kinds_until_closed(events: Stream, invoke_id: str) -> list[str]:
    kinds: list[str] = []
    while "closed" not in kinds:
        _, kind, content = events.next()
        assert content["InvokeId"] == invoke_id
        kinds.append(f"{kind} {content.get('Status', '')}".strip())
    return kinds


def test_what_happens_to_an_invocation_is_told_as_it_happens(endpoint: Endpoint) -> None:
    with held(endpoint, "i-1") as invocation, stream(endpoint, InvokeId=invocation.id) as events:
        invocation.stop()
        kinds = kinds_until_closed(events, invocation.id)

    assert kinds == ["run Stopping", "run Terminated", "closed"]


def test_events_go_on_behind_a_cursor_without_a_gap(endpoint: Endpoint) -> None:
    invocation = endpoint.client.run("true", instances=["i-1", "i-2"])
    invocation.wait(timeout=120)

    with stream(endpoint, InvokeId=invocation.id, After="0") as events:
        first = [events.next() for _ in range(2)]
    with stream(endpoint, InvokeId=invocation.id, After=first[-1][0]) as events:
        rest = kinds_until_closed(events, invocation.id)

    kinds = [f"{kind} {content.get('Status', '')}".strip() for _, kind, content in first] + rest
    assert kinds[0] == "opened"
    assert kinds[-1] == "closed"
    assert kinds.count("run Success") == 2


def test_events_need_no_header_where_a_v1_signature_is_in_the_address(endpoint: Endpoint) -> None:
    """As an EventSource of a browser asks."""
    query = raw_v1_query(endpoint.key, {"After": "0"})
    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as connection:
        connection.sendall(f"GET /events?{query} HTTP/1.1\r\nhost: h\r\n\r\n".encode())

        assert Stream(connection).status == 200


def test_a_bad_cursor_is_refused(endpoint: Endpoint) -> None:
    answer = call(endpoint, "", {"After": "nonsense"}, method="GET", path="/events")

    assert answer.status == 400
    assert answer.code.startswith("InvalidCursor")


def test_the_client_follows_events_over_http(endpoint: Endpoint) -> None:
    with Client(endpoint.url, (endpoint.key.id, endpoint.key.secret)) as client:
        invocation = client.run("true", instances=["i-1"])
        kinds = []
        for event in client.events(after="0", invoke_id=invocation.id):
            kinds.append(event.kind)
            if event.kind == "closed":
                break

    assert kinds[0] == "opened"
    assert kinds[-1] == "closed"
