"""Access keys: make, list, disable, enable, rotate, remove, seal anew."""

import re
import secrets
import string
from collections.abc import Sequence

from cloudassist_tasks.contract.keys import (
    AccessKeyItem,
    CreateAccessKey,
    CreateAccessKeyResult,
    DescribeAccessKeys,
    DescribeAccessKeysResult,
    DisableAccessKey,
    DisableAccessKeyResult,
    EnableAccessKey,
    EnableAccessKeyResult,
    RemoveAccessKey,
    RemoveAccessKeyResult,
    ResealAccessKeys,
    ResealAccessKeysResult,
    RotateAccessKey,
    RotateAccessKeyResult,
)
from cloudassist_tasks.domain.access import Policy, Role
from cloudassist_tasks.domain.access_key import SECRET_CHARS, AccessKey, AccessKeyId
from cloudassist_tasks.domain.command import check_username
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.text import check_visible
from cloudassist_tasks.engine.master_key import check_master_key
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.engine.webhook_secret import reseal_webhook_secret
from cloudassist_tasks.operations.registry import implements
from cloudassist_tasks.operations.values import tags_of, time_text

NAME_CHARS = 128
LONGEST_GRACE_S = 7 * 86_400
MOST_PATTERNS = 100
"""Actions, and users, in one policy."""

_ID_ALPHABET = string.ascii_uppercase + string.digits
_SECRET_ALPHABET = string.ascii_letters + string.digits
_ACTION_PATTERN = re.compile(r"[A-Za-z*]{1,64}")


@implements(CreateAccessKey)
async def create_access_key(plane: Plane, request: CreateAccessKey) -> CreateAccessKeyResult:
    role, policy = _role(request.role), _policy(request, plane.limits)
    if len(request.name) > NAME_CHARS:
        raise Refused(Kind.BAD_VALUE, f"Name has {len(request.name)} characters, the limit is {NAME_CHARS}")
    check_visible("Name", request.name, Kind.BAD_VALUE)
    await check_master_key(plane)
    key_id, secret = AccessKeyId("CA" + _random(_ID_ALPHABET, 18)), new_secret()
    await plane.store.access_keys.add(
        AccessKey(
            id=key_id,
            sealed=plane.vault.seal(secret, of=key_id),
            role=role,
            policy=policy,
            name=request.name,
            created_ms=plane.clock.now_ms(),
        )
    )
    return CreateAccessKeyResult(access_key_id=key_id, access_key_secret=secret.reveal())


@implements(DescribeAccessKeys)
async def describe_access_keys(plane: Plane, request: DescribeAccessKeys) -> DescribeAccessKeysResult:
    return DescribeAccessKeysResult(
        access_keys=tuple(_item(key) for key in await plane.store.access_keys.all())
    )


@implements(DisableAccessKey)
async def disable_access_key(plane: Plane, request: DisableAccessKey) -> DisableAccessKeyResult:
    await plane.store.access_keys.set_disabled(AccessKeyId(request.access_key_id), True)
    return DisableAccessKeyResult()


@implements(EnableAccessKey)
async def enable_access_key(plane: Plane, request: EnableAccessKey) -> EnableAccessKeyResult:
    await plane.store.access_keys.set_disabled(AccessKeyId(request.access_key_id), False)
    return EnableAccessKeyResult()


@implements(RotateAccessKey)
async def rotate_access_key(plane: Plane, request: RotateAccessKey) -> RotateAccessKeyResult:
    if not 0 <= request.grace <= LONGEST_GRACE_S:
        raise Refused(Kind.BAD_VALUE, f"Grace is {request.grace}; it must be from 0 to {LONGEST_GRACE_S:,} s")
    await check_master_key(plane)
    key_id, secret, now_ms = AccessKeyId(request.access_key_id), new_secret(), plane.clock.now_ms()
    until_ms = now_ms + 1_000 * request.grace if request.grace else 0
    sealed = plane.vault.seal(secret, of=key_id)
    await plane.store.access_keys.rotate(key_id, sealed, earlier_until_ms=until_ms, now_ms=now_ms)
    return RotateAccessKeyResult(
        access_key_id=key_id, access_key_secret=secret.reveal(), grace_end_time=time_text(until_ms)
    )


@implements(RemoveAccessKey)
async def remove_access_key(plane: Plane, request: RemoveAccessKey) -> RemoveAccessKeyResult:
    await plane.store.access_keys.remove(AccessKeyId(request.access_key_id))
    return RemoveAccessKeyResult()


@implements(ResealAccessKeys)
async def reseal_access_keys(plane: Plane, request: ResealAccessKeys) -> ResealAccessKeysResult:
    resealed = 0
    for key in await plane.store.access_keys.all():
        if any(not plane.vault.is_current(sealed) for sealed in (key.sealed, key.earlier) if sealed):
            resealed += await _reseal(plane, key)
    resealed += await reseal_webhook_secret(plane)
    return ResealAccessKeysResult(resealed=resealed)


def new_secret() -> Secret[str]:
    """Random, of the length that every secret of ours has."""
    return Secret(_random(_SECRET_ALPHABET, SECRET_CHARS))


async def _reseal(plane: Plane, key: AccessKey) -> bool:
    """One that is rotated meanwhile has a secret sealed by whoever rotated it."""
    vault = plane.vault
    earlier = key.earlier if key.earlier_serves(plane.clock.now_ms()) else b""
    return await plane.store.access_keys.reseal(
        key,
        sealed=vault.seal(vault.unseal(key.sealed, of=key.id), of=key.id),
        earlier=vault.seal(vault.unseal(earlier, of=key.id), of=key.id) if earlier else b"",
    )


def _role(given: str) -> Role:
    try:
        return Role(given)
    except ValueError:
        raise Refused(
            Kind.BAD_VALUE, f"Role {given[:40]!r} does not exist; there are {', '.join(Role)}"
        ) from None


def _policy(request: CreateAccessKey, limits: Limits) -> Policy:
    if max(len(request.policy_action), len(request.policy_user)) > MOST_PATTERNS:
        raise Refused(Kind.BAD_VALUE, f"a policy has at most {MOST_PATTERNS} actions, and as many users")
    for pattern in request.policy_action:
        if not _ACTION_PATTERN.fullmatch(pattern):
            raise Refused(
                Kind.BAD_VALUE,
                f"PolicyAction {pattern[:40]!r} names no operation; write RunCommand, or Describe*",
            )
    for user in request.policy_user:
        if not user:
            raise Refused(Kind.BAD_VALUE, "PolicyUser is empty; write root for the user of the system")
        check_username(user, limits)
    return Policy(
        actions=_distinct(request.policy_action),
        instance_tags=dict(tags_of(request.policy_tag, limits)),
        users=_distinct(request.policy_user),
    )


def _distinct(given: Sequence[str]) -> Sequence[str]:
    return tuple(dict.fromkeys(given))


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _item(key: AccessKey) -> AccessKeyItem:
    return AccessKeyItem(
        access_key_id=key.id,
        name=key.name,
        role=key.role,
        status="Inactive" if key.disabled else "Active",
        actions=tuple(key.policy.actions),
        instance_tags=dict(key.policy.instance_tags),
        users=tuple(key.policy.users),
        creation_time=time_text(key.created_ms),
        last_used_time=time_text(key.used_ms),
        rotation_time=time_text(key.rotated_ms),
    )
