"""Callers of all kinds, and what they run into."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.access import Caller, Policy, Role
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.handling import handle
from tests.support.store import make
from tests.support.valkey import ValkeyServer

__all__ = ["caller", "contents", "just_before", "refusal", "register"]


def caller(
    role: Role = Role.ADMIN,
    *,
    actions: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
    users: Sequence[str] = (),
) -> Caller:
    """A client of ours with this role and policy."""
    policy = Policy(actions=actions, instance_tags=tags or {}, users=users)
    return Caller(name="CA1", role=role, policy=policy, ours=True, source="127.0.0.1")


async def refusal(plane: Plane, operation: Operation[Any], who: Caller) -> str:
    """Why it is forbidden: it must be."""
    with pytest.raises(Refused) as refused:
        await handle(plane, operation, who)
    assert refused.value.kind is Kind.FORBIDDEN, refused.value
    return refused.value.message


def just_before(
    patch: pytest.MonkeyPatch, part: object, step: str, act: Callable[[], Awaitable[object]]
) -> None:
    """Somebody else acts when this step of a part of the store is about to be taken for the first time."""
    take = getattr(part, step)

    async def taken(*args: Any, **named: Any) -> Any:
        patch.setattr(part, step, take)
        await act()
        return await take(*args, **named)

    patch.setattr(part, step, taken)


async def register(plane: Plane, *instances: Instance, **tags: str) -> None:
    """These instances, and `i-1` with the tags; nothing listens where they are."""
    first = [make.instance("i-1", port=1, tags=tags)] if tags or not instances else []
    await plane.store.instances.add([*first, *instances], replace=True)


def contents(server: ValkeyServer) -> Mapping[str, object]:
    """All that the store and the broker hold, but for the audit and what was seen of the hosts."""
    found: dict[str, object] = {}
    for number in (0, 1):
        client = server.client(number)
        for key in map(str, client.keys("*")):
            if not key.startswith(("ca:audit:", "ca:nonce", "_kombu")):
                found[f"{number}:{key}"] = (
                    client.dump(key) if not _is_instance(key) else client.hget(key, "doc")
                )
        client.close()
    return found


def _is_instance(key: str) -> bool:
    return key.startswith("ca:instance:") and key.count(":") == 2
