"""Access keys: made, listed, disabled, replaced, removed. Ours: the vendor has another service for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloudassist_tasks.contract.extensions import Extension
from cloudassist_tasks.contract.operation import Result, Tag


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKeyItem:
    """An access key without its secret."""

    access_key_id: str
    name: str = ""
    role: str
    """viewer, operator or admin."""
    status: str
    """Active or Inactive."""
    actions: Sequence[str] = ()
    """The only operations it may ask for; empty: all of its role."""
    instance_tags: Mapping[str, str] = field(default_factory=dict)
    """It may use only instances with all of these tags."""
    users: Sequence[str] = ()
    """The only users it may run scripts as; empty: any."""
    creation_time: str = ""
    last_used_time: str = ""
    """To the minute; empty: never."""
    rotation_time: str = ""
    """When the secret was last replaced; empty: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAccessKeyResult(Result):
    access_key_id: str
    access_key_secret: str = field(repr=False)
    """Shown here and never again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAccessKey(Extension[CreateAccessKeyResult]):
    """Make an access key. What narrows it can not be changed later: make another key."""

    role: str = "operator"
    """viewer describes; operator also runs, stops and sends; admin does everything."""
    name: str = ""
    """What it is for, at most 128 characters."""
    policy_action: Sequence[str] = ()
    """The only operations it may ask for; `*` is a wildcard."""
    policy_tag: Sequence[Tag] = ()
    """It may use only instances with all of these tags."""
    policy_user: Sequence[str] = ()
    """The only users it may run scripts as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeAccessKeysResult(Result):
    access_keys: Sequence[AccessKeyItem] = ()
    """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeAccessKeys(Extension[DescribeAccessKeysResult]):
    """All access keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableAccessKeyResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableAccessKey(Extension[DisableAccessKeyResult]):
    """Its next call is refused."""

    access_key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableAccessKeyResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableAccessKey(Extension[EnableAccessKeyResult]):
    """Undo DisableAccessKey."""

    access_key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateAccessKeyResult(Result):
    access_key_id: str
    access_key_secret: str = field(repr=False)
    """Shown here and never again."""
    grace_end_time: str = ""
    """Until when the secret before it serves too; empty: it serves no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateAccessKey(Extension[RotateAccessKeyResult]):
    """Replace the secret; id, role and policy stay."""

    access_key_id: str
    grace: int = 0
    """Seconds for which the secret before it serves too, at most 7 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAccessKeyResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveAccessKey(Extension[RemoveAccessKeyResult]):
    """For good; its records in the audit stay."""

    access_key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResealAccessKeysResult(Result):
    resealed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResealAccessKeys(Extension[ResealAccessKeysResult]):
    """Seal the secrets under the newest master key, so that the older ones can go. The secrets stay."""
