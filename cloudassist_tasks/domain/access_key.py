"""An access key: the name and the secret with which a program signs its calls, and what they entitle it to.

The secret stands here sealed; only the vault, which holds the master key, can open it.
"""

import re
from dataclasses import dataclass
from typing import NewType

from cloudassist_tasks.domain.access import UNLIMITED, Policy, Role

AccessKeyId = NewType("AccessKeyId", str)

ACCESS_KEY_ID = re.compile(r"CA[A-Z0-9]{18}")
"""What an access key's id looks like (full match). Anything else need not be looked up."""

SECRET_CHARS = 40
"""Length of a secret. Of letters and digits: 238 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    id: AccessKeyId
    sealed: bytes
    """The secret, as the vault has sealed it for this id."""
    role: Role
    policy: Policy = UNLIMITED
    name: str = ""
    disabled: bool = False
    created_ms: int = 0
    used_ms: int = 0
    """About when it was last used, to the minute; 0: never."""
    rotated_ms: int = 0
    """When the secret was last replaced; 0: never."""
    earlier: bytes = b""
    """The sealed secret before this one, while it still serves."""
    earlier_until_ms: int = 0

    def earlier_serves(self, now_ms: int) -> bool:
        """Whether a call may still be signed with the secret before this one."""
        return bool(self.earlier) and now_ms < self.earlier_until_ms
