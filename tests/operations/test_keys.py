"""Access keys from their making to their end, and the master key that guards them."""

from dataclasses import replace
from pathlib import Path

import pytest

from cloudassist_tasks.contract.errors import wire_error_of
from cloudassist_tasks.contract.instances import DescribeInstances
from cloudassist_tasks.contract.keys import (
    CreateAccessKey,
    CreateAccessKeyResult,
    DescribeAccessKeys,
    DisableAccessKey,
    EnableAccessKey,
    RemoveAccessKey,
    ResealAccessKeys,
    RotateAccessKey,
)
from cloudassist_tasks.contract.operation import Operation, R, Tag
from cloudassist_tasks.contract.webhooks import RevealWebhookSecret
from cloudassist_tasks.domain.access import LOCAL, Policy, Role
from cloudassist_tasks.domain.access_key import ACCESS_KEY_ID
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.authentication import credentials
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.store.vault import FileVault
from tests.support.plane import SteeredClock
from tests.support.valkey import ValkeyServer

ONE, OTHER = "1" * 32, "2" * 32


@pytest.fixture
async def clock(plane: Plane) -> SteeredClock:
    return SteeredClock(plane.clock)


async def ask(plane: Plane, operation: Operation[R]) -> R:
    return await handle(plane, operation, LOCAL)


async def created(plane: Plane, role: str = "operator", **fields: object) -> CreateAccessKeyResult:
    return await ask(plane, CreateAccessKey(role=role, **fields))  # type: ignore[arg-type]


async def code_of(plane: Plane, key_id: str) -> tuple[str, int]:
    """What a call with this key is refused with."""
    with pytest.raises(Refused) as refused:
        await credentials(plane, key_id)
    return wire_error_of(refused.value)


def under(plane: Plane, *masters: str) -> Plane:
    """The same store, with these master keys."""
    return replace(plane, vault=FileVault(plane.settings.data_dir, Secret(",".join(masters))))


# -- making


async def test_a_new_key_proves_who_holds_its_secret(plane: Plane) -> None:
    made = await created(
        plane,
        "viewer",
        name="dashboard",
        policy_action=["Describe*"],
        policy_tag=[Tag(key="env", value="test")],
        policy_user=["deploy"],
    )

    found = await credentials(plane, made.access_key_id)

    assert ACCESS_KEY_ID.fullmatch(made.access_key_id)
    assert found.secret == Secret(made.access_key_secret)
    assert len(made.access_key_secret) == 40
    assert [found.secret] == list(found.secrets)
    assert (made.access_key_id, Role.VIEWER) == (found.caller.name, found.caller.role)
    assert found.caller.policy == Policy(
        actions=("Describe*",), instance_tags={"env": "test"}, users=("deploy",)
    )
    assert not found.caller.ours


async def test_a_secret_is_shown_once_and_stands_nowhere(plane: Plane, store_server: ValkeyServer) -> None:
    made = await created(plane)

    listed = await ask(plane, DescribeAccessKeys())
    client = store_server.client(0)
    stored = b"".join(client.dump(key) or b"" for key in client.keys("*"))

    assert made.access_key_secret not in repr(made)
    assert made.access_key_secret not in repr(listed)
    assert made.access_key_secret.encode() not in stored
    [item] = listed.access_keys
    assert (made.access_key_id, "Active", "") == (item.access_key_id, item.status, item.last_used_time)


@pytest.mark.parametrize(
    "request_",
    [
        CreateAccessKey(role="root"),
        CreateAccessKey(name="x" * 129),
        CreateAccessKey(name="a\nb"),
        CreateAccessKey(policy_action=["Run Command"]),
        CreateAccessKey(policy_action=[""]),
        CreateAccessKey(policy_user=[""]),
        CreateAccessKey(policy_tag=[Tag(key="")]),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(plane: Plane, request_: CreateAccessKey) -> None:
    with pytest.raises(Refused):
        await ask(plane, request_)

    assert (await ask(plane, DescribeAccessKeys())).access_keys == ()


# -- its life


async def test_a_disabled_key_is_refused_with_the_next_call_and_may_come_back(plane: Plane) -> None:
    key_id = (await created(plane)).access_key_id

    await ask(plane, DisableAccessKey(access_key_id=key_id))
    refused = await code_of(plane, key_id)
    [item] = (await ask(plane, DescribeAccessKeys())).access_keys
    await ask(plane, EnableAccessKey(access_key_id=key_id))

    assert refused == ("InvalidAccessKeyId.Inactive", 403)
    assert item.status == "Inactive"
    assert (await credentials(plane, key_id)).caller.name == key_id


async def test_a_removed_key_is_unknown(plane: Plane) -> None:
    key_id = (await created(plane)).access_key_id

    await ask(plane, RemoveAccessKey(access_key_id=key_id))

    assert await code_of(plane, key_id) == ("InvalidAccessKeyId.NotFound", 404)
    with pytest.raises(Refused):
        await ask(plane, RemoveAccessKey(access_key_id=key_id))


@pytest.mark.parametrize("key_id", ["", "CA", "CA000000000000000000", "LTAI123", "a:b\x00", "CA" + "é" * 18])
async def test_an_unknown_key_is_told_as_such(plane: Plane, key_id: str) -> None:
    assert await code_of(plane, key_id) == ("InvalidAccessKeyId.NotFound", 404)


async def test_a_rotated_secret_serves_no_more(plane: Plane) -> None:
    made = await created(plane)

    rotated = await ask(plane, RotateAccessKey(access_key_id=made.access_key_id))

    found = await credentials(plane, made.access_key_id)
    assert [Secret(rotated.access_key_secret)] == list(found.secrets)
    assert rotated.access_key_secret != made.access_key_secret
    assert rotated.grace_end_time == ""


async def test_a_rotated_secret_serves_until_its_grace_ends(plane: Plane, clock: SteeredClock) -> None:
    plane = replace(plane, clock=clock)
    made = await created(plane)

    rotated = await ask(plane, RotateAccessKey(access_key_id=made.access_key_id, grace=60))
    during = await credentials(plane, made.access_key_id)
    clock.ahead_ms = 61_000
    after = await credentials(plane, made.access_key_id)

    both = [Secret(rotated.access_key_secret), Secret(made.access_key_secret)]
    assert both == list(during.secrets)
    assert both[:1] == list(after.secrets)


async def test_the_last_use_is_known_to_the_minute(plane: Plane, clock: SteeredClock) -> None:
    plane = replace(plane, clock=clock)
    key_id = (await created(plane)).access_key_id
    seen = []

    for ahead_ms in (0, 30_000, 120_000):
        clock.ahead_ms = ahead_ms
        await handle(plane, DescribeInstances(), (await credentials(plane, key_id)).caller)
        [item] = (await ask(plane, DescribeAccessKeys())).access_keys
        seen.append(item.last_used_time)

    assert seen[0] != ""
    assert seen[0] == seen[1] < seen[2]


# -- the master key


async def test_a_wrong_master_key_says_so_and_makes_no_second_kind_of_keys(plane: Plane) -> None:
    made = await created(under(plane, ONE))

    for step in (
        credentials(under(plane, OTHER), made.access_key_id),
        created(under(plane, OTHER)),
        ask(under(plane, OTHER), RotateAccessKey(access_key_id=made.access_key_id)),
    ):
        with pytest.raises(Broken, match="under another master key than ours; give that one"):
            await step

    assert len((await ask(plane, DescribeAccessKeys())).access_keys) == 1


async def test_a_lost_master_key_is_not_made_anew_in_silence(plane: Plane) -> None:
    made = await created(plane)
    (Path(plane.settings.data_dir) / "secret.key").unlink()

    for step in (credentials(plane, made.access_key_id), created(plane)):
        with pytest.raises(Broken, match="no master key"):
            await step


async def test_the_master_key_is_replaced_without_a_key_changing(plane: Plane) -> None:
    made = await created(under(plane, ONE))
    await ask(under(plane, ONE), RotateAccessKey(access_key_id=made.access_key_id, grace=600))
    before = await credentials(under(plane, ONE), made.access_key_id)

    both = under(plane, OTHER, ONE)
    resealed = await ask(both, ResealAccessKeys())
    again = await ask(both, ResealAccessKeys())

    assert (resealed.resealed, again.resealed) == (1, 0)
    assert before == await credentials(under(plane, OTHER), made.access_key_id)


async def test_the_secret_of_webhooks_moves_to_the_new_master_key_too(plane: Plane) -> None:
    secret = (await ask(under(plane, ONE), RevealWebhookSecret())).secret

    with pytest.raises(Broken):
        await ask(under(plane, OTHER), RevealWebhookSecret())
    with pytest.raises(Broken):
        await created(under(plane, OTHER))
    resealed = await ask(under(plane, OTHER, ONE), ResealAccessKeys())

    assert resealed.resealed == 1
    assert (await ask(under(plane, OTHER), RevealWebhookSecret())).secret == secret


async def test_a_lost_secret_of_webhooks_is_replaced(plane: Plane) -> None:
    secret = (await ask(under(plane, ONE), RevealWebhookSecret())).secret

    replaced = (await ask(under(plane, OTHER), RevealWebhookSecret(rotate=True))).secret

    assert replaced != secret
    assert (await ask(under(plane, OTHER), RevealWebhookSecret())).secret == replaced


def test_the_master_key_is_not_in_the_settings_repr(plane: Plane) -> None:
    assert ONE not in repr(replace(plane.settings, secret_key=Secret(ONE)))


async def test_a_refusal_names_the_operation_and_the_reason(plane: Plane) -> None:
    made = await created(plane, "viewer")
    caller = replace((await credentials(plane, made.access_key_id)).caller, ours=True)

    with pytest.raises(Refused) as refused:
        await handle(plane, CreateAccessKey(), caller)

    assert Kind.FORBIDDEN is refused.value.kind
    assert wire_error_of(refused.value, CreateAccessKey) == ("Forbidden.RAM", 403)
    why = f"not allowed for {made.access_key_id}: its role is viewer, the operation needs admin"
    assert refused.value.message == f"CreateAccessKey is {why}"
