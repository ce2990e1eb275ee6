"""Instances and commands: kept as they were given, found in order, not removed while in use."""

import asyncio
import json
from dataclasses import replace

import pytest

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact, HostFacts, OsType, SshEngine, TransportKind
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.ports.listing import CommandFilter
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.redis_store import RedisStore
from tests.support.store import make

FACTS = HostFacts(
    base="/var/lib/ca", helper_path="/var/lib/ca/h", helper_version="1", shell="/bin/sh", uid=0, user="root",
    sudo=True, boot_id="b-1",
)  # fmt: skip


async def test_an_instance_is_read_back_as_it_was_registered(store: RedisStore) -> None:
    instance = make.instance(
        "i-1", port=2222, user="ops", os_type=OsType.FREEBSD, identity="/k", password="env:PW",
        host_key="ssh-ed25519 AAAA", trust_on_first_use=True, jump=InstanceId("i-0"),
        transport=TransportKind.LOCAL, engine=SshEngine.PARAMIKO, legacy_algorithms=True,
        remote_base="/opt/ca", tags={"a": "ü"}, power_commands={"stop": "true"}, registered_ms=7,
    )  # fmt: skip

    await store.instances.add([instance])

    assert await store.instances.get(instance.id) == instance
    assert await store.instances.get(InstanceId("i-2")) is None


async def test_all_are_registered_or_none(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-2")])

    with pytest.raises(Refused) as refused:
        await store.instances.add([make.instance("i-1"), make.instance("i-2")])

    assert refused.value.kind == Kind.INSTANCE_EXISTS
    assert "i-2" in refused.value.message
    assert [instance.id for instance in await store.instances.all()] == ["i-2"]


async def test_a_replaced_instance_is_a_new_machine(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-1", host_key="ssh-ed25519 old")])
    await store.instances.record_contact(
        InstanceId("i-1"), Contact(facts=FACTS, boot_id="b", last_contact_ms=5)
    )

    await store.instances.add([make.instance("i-1", host="10.0.0.2")], replace=True)

    instance = await store.instances.get(InstanceId("i-1"))
    contacts = await store.instances.contacts([InstanceId("i-1")])
    assert instance is not None
    assert (instance.host, instance.host_key) == ("10.0.0.2", None)
    assert contacts[InstanceId("i-1")] == Contact()


async def test_thousands_of_instances_are_read_by_id(store: RedisStore) -> None:
    instances = [make.instance(f"i-{n:04}") for n in range(2_500)]
    await store.instances.add(list(reversed(instances)))

    every = await store.instances.all()
    some = await store.instances.get_many([InstanceId("i-0007"), InstanceId("i-none")])

    assert every == instances
    assert some == {InstanceId("i-0007"): instances[7]}


async def test_a_contact_adds_to_what_is_known(store: RedisStore) -> None:
    id_, stranger = InstanceId("i-1"), InstanceId("i-none")
    await store.instances.add([make.instance("i-1")])

    await store.instances.record_contact(id_, Contact(facts=FACTS, boot_id="b-1", last_contact_ms=5))
    await store.instances.record_contact(id_, Contact(last_error="no route"))
    await store.instances.record_contact(stranger, Contact(last_error="no route"))

    contacts = await store.instances.contacts([id_, stranger])
    assert contacts[id_] == Contact(facts=FACTS, boot_id="b-1", last_contact_ms=5, last_error="no route")
    assert contacts[stranger] == Contact()


async def test_a_zone_is_known_until_its_host_says_another_or_none(store: RedisStore) -> None:
    id_, stranger = InstanceId("i-1"), InstanceId("i-none")
    await store.instances.add([make.instance("i-1")])
    zones = []

    for zone in ("Asia/Tokyo", ""):
        await store.instances.record_contact(id_, Contact(facts=FACTS, zone="UTC", last_contact_ms=5))
        await store.instances.record_zone(id_, zone)
        await store.instances.record_contact(id_, Contact(last_error="no route"))
        zones.append((await store.instances.contacts([id_]))[id_].zone)
    await store.instances.record_zone(stranger, "UTC")
    await store.instances.record_zone(id_, "UTC")
    await store.instances.add([make.instance("i-1")], replace=True)

    assert zones == ["Asia/Tokyo", ""]
    assert (await store.instances.contacts([id_, stranger])) == {id_: Contact(), stranger: Contact()}


async def test_the_first_host_key_that_is_seen_stands(store: RedisStore) -> None:
    await store.instances.add([make.instance("i-1"), make.instance("i-2", host_key="given")])

    kept = [
        await store.instances.record_host_key(InstanceId(id_), key)
        for id_, key in (("i-1", "seen"), ("i-1", "other"), ("i-2", "other"), ("i-none", "other"))
    ]

    assert kept == [True, False, False, False]
    every = await store.instances.all()
    assert [instance.host_key for instance in every] == ["seen", "given"]


async def test_an_instance_with_an_open_run_stays(store: RedisStore) -> None:
    id_ = InstanceId("i-1")
    await store.instances.add([make.instance("i-1")])
    [key, other] = await make.opened(store, "i-1", "i-2")

    with pytest.raises(Refused) as in_use:
        await store.instances.remove(id_)
    await make.finish(store, await make.launched(store, key))
    await store.instances.remove(id_)  # the invocation is still open, its run is not
    with pytest.raises(Refused) as missing:
        await store.instances.remove(id_)

    assert other.invoke_id == key.invoke_id
    assert (in_use.value.kind, missing.value.kind) == (Kind.INSTANCE_IN_USE, Kind.INSTANCE_NOT_FOUND)
    assert await store.instances.all() == []


async def test_a_command_is_read_back_to_the_byte(store: RedisStore) -> None:
    command = make.command(bytes(range(256)), tags={"a": "b"}, enable_parameter=True, description="ü\n")

    await store.commands.add(command, quota=1)

    assert await store.commands.get(command.id) == command


async def test_no_more_commands_are_kept_than_the_quota(store: RedisStore) -> None:
    first, second = make.command(), make.command()
    await store.commands.add(first, quota=1)

    with pytest.raises(Refused) as refused:
        await store.commands.add(second, quota=1)
    await store.commands.remove(first.id)
    await store.commands.add(second, quota=1)

    assert refused.value.kind == Kind.COMMAND_QUOTA
    assert await store.commands.count() == 1


async def test_a_command_of_the_same_id_stays_as_it_was_and_counts_once(store: RedisStore) -> None:
    first = make.command(b"first", tags={"n": "1"})
    second = replace(first, name="other", content=Secret(b"second"), tags={"n": "2"}, created_ms=2_000)

    kept = [await store.commands.add(one, quota=1) for one in (first, second)]

    assert kept == [first, first]
    page = await store.commands.page(CommandFilter(tags={"n": None}), limit=9, count=True)
    assert (list(page.items), page.total) == ([first], 1)
    await store.commands.remove(first.id)
    assert await store.link.call("KEYS", "ca:command*") == [b"ca:commands:last"]


async def test_a_changed_command_keeps_its_content_and_its_place(store: RedisStore) -> None:
    commands = [make.command(created_ms=n) for n in range(5)]
    for command in commands:
        await store.commands.add(command, quota=100)
    changed = make.command(b"other", id=commands[2].id, name="renamed", created_ms=2)

    replaced = await store.commands.replace(changed, instead_of=commands[2])

    assert replaced
    page = await store.commands.page(CommandFilter(), limit=2, skip=1)
    rest = await store.commands.page(CommandFilter(name="command *"), limit=9, cursor=page.cursor, count=True)
    assert [(item.id, item.content) for item in page.items] == [
        (commands[3].id, commands[3].content),
        (commands[2].id, commands[2].content),
    ]
    assert page.items[1].name == "renamed"
    assert [item.id for item in rest.items] == [commands[1].id, commands[0].id]


async def test_a_command_is_replaced_only_if_it_is_what_was_read(store: RedisStore) -> None:
    command, gone = make.command(tags={"n": "0"}), make.command()
    await store.commands.add(command, quota=9)
    first, second = replace(command, tags={"n": "1"}), replace(command, tags={"n": "2"})

    done = [
        await store.commands.replace(first, instead_of=command),
        await store.commands.replace(second, instead_of=command),
        await store.commands.replace(gone, instead_of=gone),
    ]

    assert done == [True, False, False]
    page = await store.commands.page(CommandFilter(tags={"n": "1"}), limit=9)
    assert list(page.items) == [first]


async def test_of_many_that_replace_a_command_at_once_one_does(store: RedisStore) -> None:
    command = make.command()
    await store.commands.add(command, quota=9)
    changed = [replace(command, tags={"n": str(n)}) for n in range(10)]

    done = await asyncio.gather(*(store.commands.replace(one, instead_of=command) for one in changed))

    assert sum(done) == 1
    page = await store.commands.page(CommandFilter(tags={"n": None}), limit=9)
    assert list(page.items) == [changed[done.index(True)]]


async def written_by_a_newer_release(store: RedisStore, command: Command) -> None:
    doc = json.loads(await store.link.call("HGET", keys.command(command.id), "doc"))
    await store.link.call("HSET", keys.command(command.id), "doc", json.dumps({**doc, "colour": "red"}))


async def test_a_command_that_a_newer_release_wrote_is_removed(store: RedisStore) -> None:
    command = make.command(tags={"a": "b"})
    await store.commands.add(command, quota=9)
    await written_by_a_newer_release(store, command)

    await asyncio.wait_for(store.commands.remove(command.id), 60)

    assert await store.link.call("KEYS", "ca:command*") == [b"ca:commands:last"]


async def test_what_a_newer_release_keeps_of_a_command_stays_when_it_is_replaced(store: RedisStore) -> None:
    command = make.command()
    await store.commands.add(command, quota=9)
    await written_by_a_newer_release(store, command)
    renamed = replace(command, name="renamed")

    replaced = await store.commands.replace(renamed, instead_of=command)

    assert replaced
    assert await store.commands.get(command.id) == renamed
    stored = await store.link.call("HGET", keys.command(command.id), "doc")
    assert json.loads(stored)["colour"] == "red"
