"""What is refused before it becomes a call of an operation is on record too; the rest `handle` sees to."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cloudassist_tasks.api.calls import Call
from cloudassist_tasks.contract.signing import Received
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.auditing import record_refusal

__all__ = ["claimed_key", "recorded"]

_CREDENTIAL = re.compile(r"\bCredential=([^,\s]{1,64})")


@contextmanager
def recorded(plane: Plane, call: Call, action: str = "") -> Iterator[None]:
    """Around all that comes before `handle`. `action`: what is asked for where no operation is named."""
    try:
        yield
    except Exception as error:
        record_refusal(
            plane,
            error,
            request_id=call.request_id,
            source=call.source,
            action=action,
            operation=call.operation,
            caller=call.caller,
            claimed=call.claimed,
        )
        raise


def claimed_key(received: Received) -> str:
    """The AccessKeyId that a request gives, whether or not its signature is good; empty: none."""
    if found := _CREDENTIAL.search(received.headers.get("authorization", "")):
        return found[1]
    return (dict(received.query) | dict(received.form)).get("AccessKeyId", "")
