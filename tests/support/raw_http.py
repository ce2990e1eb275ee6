"""HTTP by hand, for a test of what a library would never send: bytes over a socket, and the answer's parts.

answer = raw(endpoint, b"GET / HTTP/1.1\\r\\n…")
answer = call(endpoint, "RunCommand", {"Type": "RunShellScript", …})            # signed by V3
answer = call(endpoint, "RunCommand", {…}, family="V1", Format="JSON")          # signed by V1
"""

import base64
import hashlib
import hmac
import json
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode

from cloudassist_tasks.contract.signing import signed_headers
from cloudassist_tasks.domain.secret import Secret
from tests.support.endpoint import AccessKey, Endpoint

__all__ = ["Raw", "call", "raw", "raw_v1_query", "signed"]

VERSION = "2014-05-26"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error, which must have all of its parts."""
        error = self.json
        assert set(error) >= {"RequestId", "HostId", "Code", "Message"}, error
        assert self.headers["content-type"] == "application/json;charset=utf-8"
        assert uuid.UUID(error["RequestId"])
        return str(error["Code"])


def raw(endpoint: Endpoint, request: bytes, *, within: float = 30) -> Raw:
    """Send bytes on a connection of their own, and read one answer."""
    with socket.create_connection((endpoint.host, endpoint.port), timeout=within) as connection:
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had heard enough; the answer is there
        response = HTTPResponse(connection)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Raw(response.status, headers, response.read())


def call(
    endpoint: Endpoint,
    action: str,
    parameters: Mapping[str, str],
    *,
    key: AccessKey | None = None,
    method: str = "POST",
    as_form: bool = False,
    ours: bool = False,
    path: str = "/",
    **headers: str,
) -> Raw:
    """One call, signed by V3."""
    more = {"x-cloudassist-client": "test"} if ours else {}
    return raw(
        endpoint,
        signed(
            endpoint,
            action,
            parameters,
            key=key or endpoint.key,
            method=method,
            as_form=as_form,
            path=path,
            headers={**more, **headers},
        ),
    )


def signed(
    endpoint: Endpoint,
    action: str,
    parameters: Mapping[str, str],
    *,
    key: AccessKey,
    method: str = "POST",
    as_form: bool = False,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
    nonce: str = "",
    ahead_s: int = 0,
) -> bytes:
    """A request with a V3 signature, as bytes."""
    body = urlencode(parameters).encode() if as_form else b""
    query = [] if as_form else list(parameters.items())
    given = {
        "host": f"{endpoint.host}:{endpoint.port}",
        "x-acs-version": VERSION,
        **({"x-acs-action": action} if action else {}),
        **({"content-type": FORM} if as_form else {}),
        **(headers or {}),
    }
    whole = signed_headers(
        method=method,
        path=path,
        query=query,
        headers=given,
        body=body,
        key_id=key.id,
        secret=Secret(key.secret),
        nonce=nonce or uuid.uuid4().hex,
        now_ms=int((time.time() + ahead_s) * 1_000),
    )
    target = path + ("?" + urlencode(query) if query else "")
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in whole.items())]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def raw_v1_query(
    key: AccessKey, parameters: Mapping[str, str], *, method: str = "GET", algorithm: str = "HMAC-SHA1"
) -> str:
    """Parameters with a V1 signature, made here from the vendor's description and not by the product."""
    given = {
        "Version": VERSION,
        "AccessKeyId": key.id,
        "SignatureMethod": algorithm,
        "SignatureVersion": "1.0",
        "SignatureNonce": uuid.uuid4().hex,
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **parameters,
    }
    canonical = "&".join(f"{_escaped(name)}={_escaped(given[name])}" for name in sorted(given))
    digest = hmac.new(
        f"{key.secret}&".encode(),
        f"{method}&%2F&{_escaped(canonical)}".encode(),
        hashlib.sha256 if algorithm == "HMAC-SHA256" else hashlib.sha1,
    ).digest()
    return f"{urlencode(given)}&Signature={_escaped(base64.b64encode(digest).decode())}"


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")
