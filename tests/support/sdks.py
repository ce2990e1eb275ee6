"""Ways into one installation behind one method: a scenario does not see which way its operations take.

    sender.send(RunCommand(type="RunShellScript", command_content="date", instance_id=["i-1"]))

A way translates and nothing more: into a process of the command line, or into the vendor's request, by the
names that the operation's type gives its fields, and back. Whatever a caller is told when an operation is
refused becomes `Turned`, as far as that way tells it.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from unittest.mock import patch

from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client as VendorClient
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config

from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.errors import Answered, wire_error_of
from cloudassist_tasks.contract.operation import Operation, R, result_type
from cloudassist_tasks.contract.query import flattened
from cloudassist_tasks.contract.wire import from_wire, to_wire
from cloudassist_tasks.domain.errors import Refused
from tests.support.endpoint import AccessKey, Endpoint

__all__ = ["ByCommandLine", "ByOurClient", "BySdk", "Sender", "Turned", "sdk_client", "unproxied"]

REGION = "cn-test"
PATIENCE_MS = 60_000
FIRST_WORD = re.compile(r"error: ([A-Za-z.]+): ")


class Turned(Exception):
    """The operation was refused; None where this way does not tell."""

    def __init__(self, code: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.request_id = request_id


class Sender(Protocol):
    @property
    def ours(self) -> bool:
        """It may send our extensions."""

    def send(self, operation: Operation[R]) -> R:
        """The result; raises `Turned`."""


@dataclass(frozen=True, slots=True)
class ByOurClient:
    """The Python client, in process or over HTTP."""

    client: Client
    ours: bool = True

    def send(self, operation: Operation[R]) -> R:
        try:
            return self.client.send(operation)
        except Answered as told:
            raise Turned(told.code, status=told.status, request_id=told.request_id) from told
        except Refused as refusal:
            code, status = wire_error_of(refusal, type(operation))
            raise Turned(code, status=status) from refusal


@dataclass(frozen=True, slots=True)
class ByCommandLine:
    """`cloudassist call`, in the environment that selects the installation."""

    ours: bool = True

    def send(self, operation: Operation[R]) -> R:
        command = [sys.executable, "-m", "cloudassist_tasks.cli", "call", operation.action()]
        for name, text in flattened(operation).items():
            command += [f"--{name}", text]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # short processes share compiled modules
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment
        )
        if done.returncode != 0:
            told = FIRST_WORD.match(done.stderr)
            assert told is not None, done.stderr
            raise Turned(told[1])
        return from_wire(result_type(type(operation)), json.loads(done.stdout))


@dataclass(frozen=True, slots=True)
class BySdk:
    """The vendor's Python library of today."""

    client: VendorClient
    asynchronous: bool
    ours: bool = False

    def send(self, operation: Operation[R]) -> R:
        request = getattr(models, f"{operation.action()}Request")().from_map(to_wire(operation))
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation.action()).lower()
        try:
            response = self._answer(method, request)
        except ClientException as error:
            raise Turned(error.code, status=error.status_code, request_id=error.request_id) from error
        assert response.status_code == 200
        return from_wire(result_type(type(operation)), response.body.to_map())

    def _answer(self, method: str, request: object) -> Any:
        if self.asynchronous:
            return asyncio.run(getattr(self.client, f"{method}_async")(request))
        return getattr(self.client, method)(request)


def sdk_client(endpoint: Endpoint, key: AccessKey, signature: str = "V3") -> VendorClient:
    """The vendor's client as its users make it, but more patient than its own ten seconds: a machine may
    stand still for as long. `signature`: V3 or V1 (which it calls v2)."""
    return VendorClient(
        Config(
            endpoint=f"{endpoint.host}:{endpoint.port}",
            protocol="HTTP",
            access_key_id=key.id,
            access_key_secret=key.secret,
            region_id=REGION,
            signature_algorithm={"V3": None, "V1": "v2"}[signature],
            read_timeout=PATIENCE_MS,
            connect_timeout=PATIENCE_MS,
        )
    )


@contextmanager
def unproxied() -> Iterator[None]:
    """Without HTTP_PROXY: the vendor's libraries would send it even what goes to 127.0.0.1."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with patch.dict(os.environ, kept, clear=True):
        yield
