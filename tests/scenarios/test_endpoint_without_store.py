"""The endpoint while its store is away or silent, and calls that wait when it ends itself."""

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import pytest

from cloudassist_tasks.client.door import Client
from tests.support.endpoint import Endpoint, served
from tests.support.eventually import eventually
from tests.support.installation import environment
from tests.support.raw_http import call, raw, signed
from tests.support.valkey import ValkeyServer, private_valkey

HOST = b"host: 127.0.0.1\r\n"


@pytest.fixture
def breakable(tmp_path: Path) -> Iterator[tuple[Endpoint, ValkeyServer]]:
    """An endpoint whose store may be taken away."""
    with private_valkey() as server:
        variables = environment(server, tmp_path)
        with patch.dict(os.environ, variables), Client() as client, served(variables, client) as endpoint:
            yield endpoint, server
            if server.process is None:
                server.start()


def test_a_store_that_is_away_is_said_and_comes_back(breakable: tuple[Endpoint, ValkeyServer]) -> None:
    endpoint, server = breakable
    ready = b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n"

    server.stop()
    away = call(endpoint, "DescribeCommands", {})
    unready, alive = raw(endpoint, ready), raw(endpoint, b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    server.start()

    assert (away.status, away.code) == (503, "ServiceUnavailable")
    assert (away.headers["retry-after"], away.headers["x-acs-retry-after"]) == ("1", "1000")
    assert (unready.status, unready.json["Store"], alive.status) == (503, "away", 200)
    eventually(lambda: raw(endpoint, ready).status == 200, within=20)
    assert call(endpoint, "DescribeCommands", {}).status == 200


def test_a_store_that_falls_silent_is_given_up_before_the_vendors_clients_do(
    breakable: tuple[Endpoint, ValkeyServer],
) -> None:
    """They wait ten seconds."""
    endpoint, server = breakable
    assert server.process is not None

    request = signed(endpoint, "DescribeCommands", {}, key=endpoint.key)
    with ThreadPoolExecutor(1) as thread:
        server.process.send_signal(signal.SIGSTOP)
        try:
            asked = thread.submit(raw, endpoint, request, within=60)
            eventually(asked.done, within=20)  # of a machine that does not stand still
        finally:
            server.process.send_signal(signal.SIGCONT)

    answer = asked.result()
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")


def test_calls_that_wait_end_with_the_endpoint(breakable: tuple[Endpoint, ValkeyServer]) -> None:
    endpoint, _ = breakable
    request = signed(endpoint, "", {}, key=endpoint.key, method="GET", path="/events")
    with socket.create_connection((endpoint.host, endpoint.port), timeout=30) as stream:
        stream.sendall(request)
        eventually(lambda: b"\nid: " in stream.recv(65_536), within=10)

        endpoint.process.send_signal(signal.SIGTERM)

        while stream.recv(65_536):
            pass
        assert endpoint.process.wait(timeout=120) == 0
