"""What is remembered of a call: who asked for what, from where, and what came of it. Never a secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

NO_ARGUMENTS: Mapping[str, object] = MappingProxyType({})

SUCCESS = "Success"
"""The outcome of a call that was answered; else it is the code of the error."""


class AuditPart(StrEnum):
    """Each part is kept by itself, so that what is plentiful does not displace what is rare."""

    CHANGES = "changes"
    """Calls of operations that may change something, refused ones too."""
    READS = "reads"
    STRANGERS = "strangers"
    """Calls refused before it was clear who asked: anybody can make as many as he likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    part: AuditPart
    at_ms: int
    caller: str
    """An access key's id, `local` or `broker`; of a stranger, whom it claimed to be."""
    role: str = ""
    source: str = ""
    action: str
    arguments: Mapping[str, object] = field(default_factory=lambda: NO_ARGUMENTS)
    """By their names on the wire; secrets as `***`, long values shortened. JSON."""
    outcome: str = SUCCESS
    status: int = 200
    """As HTTP has it, whatever the way in was."""
    request_id: str = ""
    invoke_id: str = ""
    """The invocation that the call has opened."""
