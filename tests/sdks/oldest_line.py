"""A program for the vendor's oldest Python library (aliyun-python-sdk): run, describe, stop, and errors.

It signs the V1 way, by GET or by POST. Runs in an environment of its own (`make sdks`), started
by `test_lines.py` with the endpoint, the key and the instances as arguments; prints what it was told as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkecs.request.v20140526.DescribeInvocationResultsRequest import DescribeInvocationResultsRequest
from aliyunsdkecs.request.v20140526.DescribeInvocationsRequest import DescribeInvocationsRequest
from aliyunsdkecs.request.v20140526.RunCommandRequest import RunCommandRequest
from aliyunsdkecs.request.v20140526.StopInvocationRequest import StopInvocationRequest

REGION = "cn-test"
FINAL = {"Success", "Failed", "Terminated", "Cancelled", "Aborted", "Invalid", "Error", "Timeout"}


class Program:
    """The library's client, with what each of its requests must be told."""

    def __init__(self, endpoint: str, key_id: str, secret: str, method: str) -> None:
        self.client = AcsClient(key_id, secret, REGION, connect_timeout=60, timeout=60)
        self.endpoint = endpoint
        self.method = method

    def do(self, request: Any) -> Any:
        """The reply, as JSON says it: the library has no types for replies."""
        request.set_endpoint(self.endpoint)
        request.set_protocol_type("http")
        request.set_method(self.method)
        return json.loads(self.client.do_action_with_exception(request))

    def run(self, script: str, instances: tuple[str, ...], **values: str) -> Any:
        request = RunCommandRequest()
        request.set_Type("RunShellScript")
        request.set_CommandContent(script)
        request.set_InstanceIds(list(instances))
        request.set_Tags([{"Key": "sdk", "Value": f"oldest {self.method}"}, {"Key": "empty", "Value": ""}])
        if values:
            request.set_EnableParameter(True)
            request.set_Parameters(json.dumps(values))
        return self.do(request)

    def results(self, invoke_id: str) -> list[Any]:
        request = DescribeInvocationResultsRequest()
        request.set_InvokeId(invoke_id)
        request.set_ContentEncoding("PlainText")
        found: list[Any] = self.do(request)["Invocation"]["InvocationResults"]["InvocationResult"]
        return found

    def listed(self, invoke_id: str) -> list[Any]:
        request = DescribeInvocationsRequest()
        request.set_InvokeId(invoke_id)
        request.set_Tags([{"Key": "sdk", "Value": f"oldest {self.method}"}])
        found: list[Any] = self.do(request)["Invocations"]["Invocation"]
        return found

    def ended(self, invoke_id: str) -> list[Any]:
        _until(lambda: all(one["InvocationStatus"] in FINAL for one in self.results(invoke_id)))
        return self.results(invoke_id)

    def stop(self, invoke_id: str) -> None:
        request = StopInvocationRequest()
        request.set_InvokeId(invoke_id)
        self.do(request)

    def refusal(self, instance: str) -> dict[str, object]:
        """What reaches the caller when nothing can be run."""
        try:
            self.run("true", (instance,))
        except ServerException as error:
            return {
                "class": type(error).__name__,
                "code": error.get_error_code(),
                "status": error.get_http_status(),
                "message": error.get_error_msg(),
                "request_id": error.get_request_id(),
            }
        raise AssertionError("it was not refused")


def main(endpoint: str, key_id: str, secret: str, method: str, *instances: str) -> dict[str, object]:
    """The whole story, in the order in which it happens. `method`: GET or POST."""
    program = Program(endpoint, key_id, secret, method)
    ran = program.run("printf '%s' 'hello {{name}}'", instances, name="Jack & Jill 名 *~+/=")
    results = program.ended(ran["InvokeId"])
    listed = program.listed(ran["InvokeId"])
    long = program.run("sleep 600", instances[:1])["InvokeId"]
    _until(lambda: [one["InvocationStatus"] for one in program.results(long)] == ["Running"])
    program.stop(long)
    return {
        "request_id": ran["RequestId"],
        "outputs": {one["InstanceId"]: one["Output"] for one in results},
        "exit_codes": [one["ExitCode"] for one in results],
        "listed": [
            [one["InvokeId"] == ran["InvokeId"], one["InvocationStatus"], one["Timeout"]] for one in listed
        ],
        "tags": {tag["TagKey"]: tag["TagValue"] for tag in listed[0]["Tags"]["Tag"]},
        "stopped": [one["InvocationStatus"] for one in program.ended(long)],
        "unknown_instance": program.refusal("i-nowhere"),
        "wrong_secret": Program(endpoint, key_id, "not the secret", method).refusal(instances[0]),
    }


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the invocation does not get there within 120 s")
        time.sleep(0.1)


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
