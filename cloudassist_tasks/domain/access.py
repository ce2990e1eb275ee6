"""Who asks for an operation, and what they may ask for.

Three roles, each with all that the one before it may do: a viewer describes; an operator also runs, stops
and sends; an admin does everything. A policy narrows a key further; it never widens its role.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cloudassist_tasks.domain.instance import NO_TAGS


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a key is narrowed to. An empty field narrows nothing."""

    actions: Sequence[str] = ()
    """Names of operations; `*` is a wildcard (`Describe*`)."""
    instance_tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    """Only instances that have all of these tags."""
    users: Sequence[str] = ()
    """Whom scripts may run as; an empty name in a request means root."""


UNLIMITED = Policy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as the way in has established it."""

    name: str
    """An access key id, `local` or `broker`."""
    role: Role
    policy: Policy = UNLIMITED
    ours: bool = False
    """A client of this product: it knows the extensions and may name more instances in one call."""
    source: str = ""
    """Where the call came from, for the audit: an address, `cli`, `celery`."""
    last_used_ms: int | None = None
    """When the access key was used before, 0: never; None: the caller came without one."""


LOCAL = Caller(name="local", role=Role.ADMIN, ours=True, source="process")
"""Whoever can open the store itself: the command line and the Python client at home."""
