"""The largest requests that the vendor's SDK makes: a script in the request line, each character escaped."""

import asyncio
import base64
import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from alibabacloud_ecs20140526 import models

from cloudassist_tasks import DescribeInvocationResults, RunCommand
from tests.support.endpoint import Endpoint, installation, served  # noqa: F401
from tests.support.eventually import eventually
from tests.support.installation import Installation
from tests.support.sdks import REGION, BySdk, Turned, sdk_client, unproxied

pytestmark = pytest.mark.xdist_group("sdks")

SCRIPT = b"printf fine; exit 0   \n#" + b"\xfb\xef\xbe" * 6_136
CONTENT = base64.b64encode(SCRIPT).decode()
"""24 KB, nearly all of it `+`, which travels as `%2B`."""

TOGETHER = 20


@pytest.fixture(scope="module")
def endpoint(installation: Installation) -> Iterator[Endpoint]:  # noqa: F811
    """With the vendor's limits of today."""
    installation.add("i-1", "i-2", "i-3")
    ours = {name: value for name, value in os.environ.items() if name.startswith("CLOUDASSIST_")}
    with unproxied(), served({**ours, "CLOUDASSIST_LIMITS": "2026"}, installation.client) as endpoint:
        yield endpoint


def test_it_is_what_its_name_says() -> None:
    assert len(CONTENT) == 24 * 1024
    assert len(quote(CONTENT, safe="")) > 60_000


@pytest.mark.parametrize("signature", ["V3", "V1"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_24_kb_of_escapes_are_run(endpoint: Endpoint, signature: str, asynchronous: bool) -> None:
    sender = BySdk(sdk_client(endpoint, endpoint.key, signature), asynchronous)
    run = RunCommand(
        region_id=REGION,
        type="RunShellScript",
        command_content=CONTENT,
        content_encoding="Base64",
        instance_id=["i-1", "i-2", "i-3"],
    )

    invoke_id = sender.send(run).invoke_id

    eventually(lambda: _outputs(endpoint, invoke_id) == ["fine"] * 3, within=60)


def test_one_character_more_is_refused(endpoint: Endpoint) -> None:
    sender = BySdk(sdk_client(endpoint, endpoint.key), asynchronous=False)
    longer = base64.b64encode(SCRIPT + b"#").decode()
    run = RunCommand(
        region_id=REGION,
        type="RunShellScript",
        command_content=longer,
        content_encoding="Base64",
        instance_id=["i-1"],
    )

    with pytest.raises(Turned) as turned:
        sender.send(run)

    assert (turned.value.code, turned.value.status) == ("CmdContent.ExceedLimit", 403)


@pytest.mark.parametrize("signature", ["V3", "V1"])
def test_twenty_of_them_at_once_are_run(endpoint: Endpoint, signature: str) -> None:
    client = sdk_client(endpoint, endpoint.key, signature)
    requests = [
        models.RunCommandRequest(
            region_id=REGION,
            type="RunShellScript",
            command_content=CONTENT,
            content_encoding="Base64",
            instance_id=[f"i-{1 + number % 3}"],
        )
        for number in range(TOGETHER)
    ]

    async def all_at_once() -> list[str]:
        replies = await asyncio.gather(*(client.run_command_async(request) for request in requests))
        return [reply.body.invoke_id for reply in replies]

    ids = asyncio.run(all_at_once())

    assert len(set(ids)) == TOGETHER
    eventually(lambda: all(_outputs(endpoint, invoke_id) == ["fine"] for invoke_id in ids), within=60)


def _outputs(endpoint: Endpoint, invoke_id: str) -> list[str]:
    asked = DescribeInvocationResults(invoke_id=invoke_id, content_encoding="PlainText")
    found = endpoint.client.send(asked).invocation.invocation_results
    return [one.output for one in found if one.invocation_status == "Success"]
