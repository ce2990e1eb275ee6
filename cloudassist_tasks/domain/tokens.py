"""The caller's token that makes a call safe to repeat."""

import re

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import Limits

_ASCII = re.compile(r"[ -~]+")


def check_client_token(token: str, limits: Limits) -> None:
    """1 to 64 visible ASCII characters; case counts. Source: ClientToken, common rules."""
    if not _ASCII.fullmatch(token) or len(token) > limits.client_token_chars:
        raise Refused(
            Kind.BAD_CLIENT_TOKEN,
            f"ClientToken must be 1 to {limits.client_token_chars} ASCII characters; a UUID serves well",
        )
