"""What makes a call safe to repeat: its ClientToken, and what of it must be the same."""

import hashlib
import json
from typing import Any

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.wire import to_wire

_NOT_BUSINESS = (
    "ClientToken",
    "RegionId",
    "OwnerAccount",
    "OwnerId",
    "ResourceOwnerAccount",
    "ResourceOwnerId",
)
"""What may differ between a call and its repetition."""


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
