"""Requests to an endpoint, signed as the vendor's clients sign them, with any parameters: right or wrong.

with SignedCaller(endpoint) as caller:
    reply = caller.call("RunCommand", {"Type": "RunShellScript"})
"""

import base64
import hmac
import http.client
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from cloudassist_tasks.contract.signing import signed_headers
from cloudassist_tasks.domain.secret import Secret
from tests.support.endpoint import AccessKey, Endpoint

VERSION = "2014-05-26"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: dict[str, Any]
    """The JSON object that every answer is."""

    @property
    def code(self) -> str:
        """Of an error; empty for a success."""
        return str(self.body.get("Code", "")) if self.status != 200 else ""


class SignedCaller:
    """One kept connection. Calls follow one another; a connection that the server closed is made anew."""

    def __init__(self, endpoint: Endpoint, *, key: AccessKey | None = None, within_s: float = 60) -> None:
        self._host = f"{endpoint.host}:{endpoint.port}"
        self._key = key or endpoint.key
        self._connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=within_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def call(
        self,
        action: str,
        parameters: Mapping[str, str],
        *,
        method: str = "POST",
        as_form: bool = False,
        ours: bool = False,
        spoilt: bool = False,
    ) -> Reply:
        """Signed by V3: all in the query, as the vendor's clients do, or in the body. `ours`: as a client
        of this product. `spoilt`: with a signature that is none."""
        body = _joined(parameters).encode() if as_form else b""
        headers = signed_headers(
            method=method,
            query=[] if as_form else list(parameters.items()),
            headers={
                "host": self._host,
                "x-acs-action": action,
                "x-acs-version": VERSION,
                **({"x-cloudassist-client": "test"} if ours else {}),
            },
            body=body,
            key_id=self._key.id,
            secret=Secret("wrong" if spoilt else self._key.secret),
            nonce=secrets.token_hex(16),
            now_ms=int(time.time() * 1_000),
        )
        if as_form:
            headers["content-type"] = FORM
        query = "" if as_form else _joined(parameters)
        return self.send(method, f"/?{query}" if query else "/", headers, body)

    def call_v1(self, action: str, parameters: Mapping[str, str], *, method: str = "GET") -> Reply:
        """Signed by V1, as the vendor's older clients do, by their description and not by the product."""
        given = {
            **parameters,
            "Action": action,
            "Version": VERSION,
            "Format": "JSON",
            "AccessKeyId": self._key.id,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": secrets.token_hex(16),
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        pairs = sorted((_escaped(name), _escaped(value)) for name, value in given.items())
        query = "&".join(f"{name}={value}" for name, value in pairs)
        digest = hmac.digest(
            f"{self._key.secret}&".encode(), f"{method}&%2F&{_escaped(query)}".encode(), "sha1"
        )
        signature = _escaped(base64.b64encode(digest).decode())
        return self.send(method, f"/?{query}&Signature={signature}", {"host": self._host})

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """As it stands. The answer must be a JSON object, whatever it says."""
        try:
            self._connection.request(method, target, body=body, headers=dict(headers))
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()
            self._connection.request(method, target, body=body, headers=dict(headers))
            answer = self._connection.getresponse()
        text = answer.read()
        parsed = json.loads(text)
        assert isinstance(parsed, dict), text[:200]
        return Reply(answer.status, parsed)


def _joined(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in parameters.items())


def _escaped(text: str) -> str:
    return quote(text.encode(errors="surrogateescape"), safe="-_.~")
