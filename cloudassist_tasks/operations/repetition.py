"""What makes a call safe to repeat: its ClientToken, and what of it must be the same.

A repetition is answered as the first call was, whatever has become of what it names: so it is looked for
before anything else is looked at.
"""

import hashlib
import json
from typing import Any

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.wire import to_wire
from cloudassist_tasks.domain.tokens import check_client_token
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.invocations import Opened

_NOT_BUSINESS = (
    "ClientToken",
    "RegionId",
    "OwnerAccount",
    "OwnerId",
    "ResourceOwnerAccount",
    "ResourceOwnerId",
)
"""What may differ between a call and its repetition."""


async def done_before(plane: Plane, request: Operation[Any], client_token: str | None) -> Opened | None:
    """By the first call with this token; None: no call has used it, or there is no token. `Refused`: it is
    malformed, or was used for another request."""
    if not client_token:
        return None
    check_client_token(client_token, plane.limits)
    return await plane.store.invocations.done_by(
        token_of(request, client_token),
        request_hash(request, client_token),
        now_ms=plane.clock.now_ms(),
    )


def token_of(request: Operation[Any], client_token: str | None) -> str:
    """The token within its scope, the operation; empty: none."""
    return f"{request.action()}:{client_token}" if client_token else ""


def request_hash(request: Operation[Any], client_token: str | None) -> str:
    """Of what the caller wants done; the same for a repetition. Empty without a token."""
    if not client_token:
        return ""
    wanted = {name: value for name, value in to_wire(request).items() if name not in _NOT_BUSINESS}
    text = json.dumps(wanted, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
