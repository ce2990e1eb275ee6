"""What a program with the vendor's SDK sees while our side is broken: when to come again, and that it may."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client as VendorClient
from alibabacloud_tea_openapi.exceptions import ThrottlingException
from darabonba.exceptions import UnretryableException

from cloudassist_tasks import Client
from tests.support.endpoint import Endpoint, served
from tests.support.eventually import eventually
from tests.support.installation import environment
from tests.support.sdks import REGION, sdk_client, unproxied
from tests.support.valkey import ValkeyServer, private_valkey

ALL = models.DescribeInvocationsRequest(region_id=REGION)


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    """The store, which a test may stop."""
    with private_valkey() as server:
        yield server
        if server.process is None:
            server.start()  # for those who close their connections


@pytest.fixture
def endpoint(server: ValkeyServer, tmp_path: Path) -> Iterator[Endpoint]:
    """An endpoint on it."""
    variables = environment(server, tmp_path)
    with (
        unproxied(),
        patch.dict(os.environ, variables),
        Client() as client,
        served(variables, client) as endpoint,
    ):
        yield endpoint


@pytest.mark.parametrize("signature", ["V3", "V1"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_store_that_is_away_is_told_with_when_to_come_again(
    server: ValkeyServer, endpoint: Endpoint, signature: str, asynchronous: bool
) -> None:
    client = sdk_client(endpoint, endpoint.key, signature)
    server.stop()

    with pytest.raises(ThrottlingException) as away:
        _describe(client, asynchronous)
    server.start()

    assert (away.value.status_code, away.value.code) == (503, "ServiceUnavailable")
    assert away.value.retry_after > 0
    assert len(away.value.request_id) == 36
    eventually(lambda: _answered(client, asynchronous), within=20)


def test_an_endpoint_that_is_away_is_told_as_the_sdk_tells_it(endpoint: Endpoint) -> None:
    client = sdk_client(endpoint, endpoint.key)
    endpoint.process.terminate()
    endpoint.process.wait(timeout=120)

    with pytest.raises(UnretryableException):
        _describe(client, asynchronous=False)


def _describe(client: VendorClient, asynchronous: bool) -> Any:
    if asynchronous:
        return asyncio.run(client.describe_invocations_async(ALL))
    return client.describe_invocations(ALL)


def _answered(client: VendorClient, asynchronous: bool) -> bool:
    try:
        return bool(_describe(client, asynchronous).status_code == 200)
    except ThrottlingException:
        return False
