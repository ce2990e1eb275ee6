"""A program for the generation before today's of the vendor's Python library: run, describe, stop, errors.

Runs in an environment of its own (`make sdks`), started by `test_lines.py` with the endpoint, the key and
the instances as arguments; prints what it was told as one JSON document.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException

REGION = "cn-test"
FINAL = {"Success", "Failed", "Terminated", "Cancelled", "Aborted", "Invalid", "Error", "Timeout"}


def main(endpoint: str, key_id: str, secret: str, signature: str, *instances: str) -> dict[str, object]:
    """The whole story, in the order in which it happens. `signature`: v3 or v2 (the vendor's name of V1)."""
    client = _client(endpoint, key_id, secret, signature)
    ran = client.run_command(
        models.RunCommandRequest(
            region_id=REGION,
            type="RunShellScript",
            command_content="printf '%s' 'hello {{name}}'",
            enable_parameter=True,
            parameters={"name": "Jack & Jill 名 *~+/="},
            instance_id=list(instances),
            tag=[
                models.RunCommandRequestTag(key="sdk", value=f"previous {signature}"),
                models.RunCommandRequestTag(key="empty", value=""),
            ],
        )
    ).body
    results = _ended(client, ran.invoke_id)
    listed = asyncio.run(
        client.describe_invocations_async(
            models.DescribeInvocationsRequest(
                region_id=REGION,
                invoke_id=ran.invoke_id,
                tag=[models.DescribeInvocationsRequestTag(key="sdk", value=f"previous {signature}")],
            )
        )
    ).body.invocations.invocation
    long = client.run_command(
        models.RunCommandRequest(
            region_id=REGION, type="RunShellScript", command_content="sleep 600", instance_id=instances[:1]
        )
    ).body.invoke_id
    _until(lambda: [one.invocation_status for one in _results(client, long)] == ["Running"])
    client.stop_invocation(models.StopInvocationRequest(region_id=REGION, invoke_id=long))
    return {
        "request_id": ran.request_id,
        "outputs": {one.instance_id: one.output for one in results},
        "exit_codes": [one.exit_code for one in results],
        "listed": [[one.invoke_id == ran.invoke_id, one.invocation_status, one.timeout] for one in listed],
        "tags": {tag.tag_key: tag.tag_value for tag in listed[0].tags.tag},
        "stopped": [one.invocation_status for one in _ended(client, long)],
        "unknown_instance": _refusal(client, "i-nowhere"),
        "wrong_secret": _refusal(_client(endpoint, key_id, "not the secret", signature), instances[0]),
    }


def _client(endpoint: str, key_id: str, secret: str, signature: str) -> Client:
    config = Config(
        endpoint=endpoint,
        protocol="HTTP",
        access_key_id=key_id,
        access_key_secret=secret,
        region_id=REGION,
        connect_timeout=60_000,
        read_timeout=60_000,
        signature_algorithm="v2" if signature == "v2" else None,
    )
    return Client(config)


def _results(client: Client, invoke_id: str) -> list[Any]:
    request = models.DescribeInvocationResultsRequest(
        region_id=REGION, invoke_id=invoke_id, content_encoding="PlainText"
    )
    found: list[Any] = client.describe_invocation_results(
        request
    ).body.invocation.invocation_results.invocation_result
    return found


def _ended(client: Client, invoke_id: str) -> list[Any]:
    _until(lambda: all(one.invocation_status in FINAL for one in _results(client, invoke_id)))
    return _results(client, invoke_id)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the invocation does not get there within 120 s")
        time.sleep(0.1)


def _refusal(client: Client, instance: str) -> dict[str, object]:
    """What reaches the caller when nothing can be run."""
    request = models.RunCommandRequest(
        region_id=REGION, type="RunShellScript", command_content="true", instance_id=[instance]
    )
    try:
        client.run_command(request)
    except TeaException as error:
        return {
            "class": type(error).__name__,
            "code": error.code,
            "status": error.statusCode,
            "message": error.message,
            "request_id": error.data["RequestId"],
        }
    raise AssertionError("it was not refused")


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
