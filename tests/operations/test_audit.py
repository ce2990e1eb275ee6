"""The audit: each call is on record, with whatever came of it, and without its secrets."""

import asyncio
import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudassist_tasks.contract.audit import AuditItem, DescribeAuditRecords
from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.contract.commands import CreateCommand, DeleteCommand
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.contract.instances import DescribeInstances
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand
from cloudassist_tasks.contract.keys import CreateAccessKey, RotateAccessKey
from cloudassist_tasks.contract.operation import Operation, Tag
from cloudassist_tasks.contract.wire import Form, fields_of
from cloudassist_tasks.domain.access import LOCAL, Role
from cloudassist_tasks.domain.audit import AuditPart, AuditRecord
from cloudassist_tasks.domain.errors import Broken, CloudAssistError, Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.auditing import record_refusal, shown_arguments
from cloudassist_tasks.operations.handling import handle
from cloudassist_tasks.ports.audit import Keep
from cloudassist_tasks.store import keys
from cloudassist_tasks.store.audit import RedisAudit
from cloudassist_tasks.store.redis_store import RedisStore
from tests.operations.callers import caller, register
from tests.support.eventually import eventually, eventually_async
from tests.support.requests import requests_of
from tests.support.valkey import ValkeyServer, private_valkey

MARKER = "s3cr3t-MARKER"

HIDDEN = ("content", "parameters", "password", "secret", "callback", "webhook")
"""What the name of a field that holds a secret may hold."""

SHOWN = {"ContentEncoding", "ContentType", "WindowsPasswordName", "EnableParameter"}


async def on_record(plane: Plane, **filters: object) -> Sequence[AuditItem]:
    """Newest first, but for the question itself."""
    answer = await handle(plane, DescribeAuditRecords(**filters), LOCAL)  # type: ignore[arg-type]
    return [item for item in answer.audit_records if item.action != "DescribeAuditRecords"]


def run(**fields: Any) -> RunCommand:
    return RunCommand(
        **{"type": "RunShellScript", "command_content": "echo", "instance_id": ["i-1"], **fields}
    )


def create(name: str) -> CreateCommand:
    return CreateCommand(name=name, type="RunShellScript", command_content="ZWNobw==")


# -- what is on record


async def test_a_call_is_on_record_with_who_what_whence_and_what_came_of_it(plane: Plane) -> None:
    await register(plane, env="test")
    who = replace(caller(Role.OPERATOR), source="10.0.0.9")

    done = await handle(plane, run(username="deploy"), who, request_id="R-1")

    [item] = await on_record(plane)
    assert (item.caller, item.role, item.source) == ("CA1", "operator", "10.0.0.9")
    assert (item.action, item.outcome, item.status) == ("RunCommand", "Success", 200)
    assert (item.call_request_id, item.invoke_id) == ("R-1", done.invoke_id)
    assert item.arguments == {
        "Type": "RunShellScript",
        "CommandContent": "*** (4 characters)",
        "InstanceId": ["i-1"],
        "Username": "deploy",
    }
    assert item.time.endswith("Z")


async def test_what_was_refused_is_on_record_with_its_code(plane: Plane) -> None:
    for operation, who in (
        (run(instance_id=["i-9"]), LOCAL),
        (run(), caller(Role.VIEWER)),
        (DescribeAuditRecords(), replace(LOCAL, ours=False)),
    ):
        with pytest.raises(Refused):
            await handle(plane, operation, who)  # type: ignore[misc]

    outcomes = [
        (item.caller, item.outcome, item.status)
        for item in (await handle(plane, DescribeAuditRecords(outcome="*"), LOCAL)).audit_records
        if item.outcome != "Success"
    ]
    assert outcomes == [
        ("local", "InvalidAction.NotFound", 404),
        ("CA1", "Forbidden.RAM", 403),
        ("local", "InvalidInstance.NotFound", 404),
    ]


async def test_a_read_is_on_record_shortly(plane: Plane) -> None:
    await handle(plane, DescribeInstances(), LOCAL)

    async def seen() -> bool:
        return [item.action for item in await on_record(plane)] == ["DescribeInstances"]

    await eventually_async(seen)


async def test_a_call_refused_before_its_caller_was_known_is_on_record(plane: Plane) -> None:
    error = Refused(Kind.ACCESS_KEY_NOT_FOUND, "there is no such AccessKeyId")
    record_refusal(plane, error, claimed="x" * 99, source="10.0.0.9", operation=RunCommand, request_id="R-1")

    async def seen() -> bool:
        return bool(await on_record(plane))

    await eventually_async(seen)
    [item] = await on_record(plane, outcome="InvalidAccessKeyId*")
    assert (item.caller, item.action, item.status) == ("x" * 64, "RunCommand", 404)


async def test_records_are_filtered_and_paged_newest_first(plane: Plane) -> None:
    for number in range(7):
        await handle(
            plane, CreateCommand(name=f"n{number}", type="RunShellScript", command_content="ZWNobw=="), LOCAL
        )
    with pytest.raises(Refused):
        await handle(plane, DeleteCommand(command_id="c-1"), caller())

    first = await handle(plane, DescribeAuditRecords(action_name="Create*", max_results=4), LOCAL)
    second = await handle(
        plane, DescribeAuditRecords(action_name="Create*", max_results=4, next_token=first.next_token), LOCAL
    )
    of_key = await on_record(plane, caller="CA1")
    none = await on_record(plane, start_time="2200-01-01T00:00:00Z")

    names = [item.arguments["Name"] for page in (first, second) for item in page.audit_records]
    assert names == [f"n{number}" for number in range(6, -1, -1)]
    assert second.next_token == ""
    assert [item.action for item in of_key] == ["DeleteCommand"]
    assert none == []


@pytest.mark.parametrize("start_time", ["yesterday", "2026-13-01"])
async def test_a_time_that_is_none_is_refused(plane: Plane, start_time: str) -> None:
    with pytest.raises(Refused):
        await handle(plane, DescribeAuditRecords(start_time=start_time), LOCAL)


# -- secrets


@pytest.mark.parametrize("action", sorted(OPERATIONS))
def test_what_is_named_like_a_secret_is_hidden(action: str) -> None:
    bare = [f"{action}.{name}" for name in _bare(OPERATIONS[action])]

    assert bare == []


def _bare(cls: type[Any]) -> Sequence[str]:
    """Fields, of parts too, that a record would show though their name says that they are secrets."""
    found: list[str] = []
    for field in fields_of(cls):
        own = cls.__dataclass_fields__[field.name]
        part = (field.shape.item or field.shape).cls
        if part is not None and own.repr:
            found += _bare(part)
        elif own.repr and field.shape.form is not Form.MAP and field.wire not in SHOWN:
            found += [field.wire] if any(word in field.wire.lower() for word in HIDDEN) else []
    return found


@pytest.mark.parametrize("action", sorted(OPERATIONS))
@settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_record_holds_a_secret(action: str, data: st.DataObject) -> None:
    operation = data.draw(requests_of(OPERATIONS[action], ["i-1", "x"]))

    shown = json.dumps(dict(shown_arguments(_marked(operation))))

    assert MARKER not in shown


def _marked(value: Any) -> Any:
    """The same, with a secret wherever one may stand."""
    changed: dict[str, Any] = {}
    for field in fields_of(type(value)):
        content, own = getattr(value, field.name), value.__dataclass_fields__[field.name]
        if field.shape.form is Form.MAP:
            changed[field.name] = {"name": MARKER}
        elif not own.repr:
            changed[field.name] = MARKER
        elif field.shape.cls is not None and content is not None:
            changed[field.name] = _marked(content)
        elif field.shape.item is not None and field.shape.item.cls is not None:
            changed[field.name] = tuple(_marked(one) for one in content)
    return replace(value, **changed)


async def test_secrets_are_in_no_record_of_the_store(plane: Plane, store_server: ValkeyServer) -> None:
    await register(plane, env="test")
    made = await handle(plane, CreateAccessKey(), LOCAL)
    rotated = await handle(plane, RotateAccessKey(access_key_id=made.access_key_id, grace=5), LOCAL)
    calls: list[Operation[Any]] = [
        run(command_content=f"echo {MARKER} {{{{a}}}}", parameters={"a": MARKER}, enable_parameter=True),
        InvokeCommand(command_id="c-1", instance_id=["i-1"], parameters={"a": MARKER}),
        AddInstances(instances=[InstanceRegistration(instance_id="i-2", host="h", password=MARKER)]),
        DeleteCommand(command_id=f"https://a:{MARKER}@host/{MARKER}?{MARKER}"),
        run(command_content=MARKER.encode()),
        run(name={"wrong": MARKER}),
    ]
    for call in calls:
        try:
            await handle(plane, call, LOCAL)
        except CloudAssistError:
            pass  # it is on record as well

    stored = b"".join(
        str(store_server.client(0).xrange(keys.audit(part))).encode() for part in AuditPart
    ).decode()
    assert stored.count("'action'") == len(calls) + 2
    for secret in (MARKER, made.access_key_secret, rotated.access_key_secret):
        assert secret not in stored
    assert "https" in stored


def test_long_values_are_shortened() -> None:
    ids = [f"i-{number}" for number in range(500)]

    shown = shown_arguments(run(name="n" * 1_000, instance_id=ids, tag=[Tag(key="k")]))

    assert shown["Name"] == "n" * 200 + "… (1,000 characters)"
    assert shown["InstanceId"] == [*ids[:20], "and 480 more"]
    assert shown["Tag"] == [{"Key": "k"}]


# -- the store


@pytest.fixture
async def audit(plane: Plane) -> RedisAudit:
    """The store's, on a connection of the plane."""
    assert isinstance(plane.store, RedisStore)
    return RedisAudit(plane.store.link)


def record(number: int, part: AuditPart = AuditPart.CHANGES) -> AuditRecord:
    return AuditRecord(part=part, at_ms=number, caller="local", action="A", request_id=f"R-{number}")


async def test_all_parts_are_read_as_one_whatever_the_page(audit: RedisAudit) -> None:
    keep = Keep(since_ms=0, most=10_000)
    parts = list(AuditPart)
    written = [record(number, parts[number * number % 3]) for number in range(700)]
    for one in written:
        audit.write_soon(one, keep)
    await audit.close()

    for limit in (7, 100, 1_000):
        found: list[AuditRecord] = []
        cursor = "start"
        while cursor:
            page = await audit.page(
                where=lambda _: True, limit=limit, cursor="" if cursor == "start" else cursor
            )
            found += page.records
            cursor = page.cursor
        assert {one.request_id for one in found} == {one.request_id for one in written}
        assert len(found) == len(written)


async def test_what_is_old_or_too_much_goes_and_the_other_parts_stay(plane: Plane, audit: RedisAudit) -> None:
    for number in range(1_000):
        audit.write_soon(record(number), Keep(since_ms=0, most=200))
    audit.write_soon(record(1, AuditPart.READS), Keep(since_ms=0, most=200))
    await audit.close()
    page = await audit.page(where=lambda one: one.part is AuditPart.CHANGES, limit=1_000)
    reads = await audit.page(where=lambda one: one.part is AuditPart.READS, limit=1_000)

    later = plane.clock.now_ms() + 3_600_000
    for number in range(2):
        await audit.write(record(5_000 + number), Keep(since_ms=later, most=200))
    left = await audit.page(where=lambda one: one.part is AuditPart.CHANGES, limit=1_000)

    assert 200 <= len(page.records) <= 400
    assert page.records[0].request_id == "R-999"
    assert len(reads.records) == 1
    assert len(left.records) <= 100


async def test_a_follower_misses_nothing(audit: RedisAudit) -> None:
    keep = Keep(since_ms=0, most=1_000)
    await audit.write(record(0), keep)
    position = await audit.newest()
    seen: list[str] = []

    async def follow() -> None:
        nonlocal position
        while len(seen) < 90:
            page = await audit.after(position, limit=10)
            seen.extend(one.request_id for one in page.records)
            position = page.cursor

    async def write() -> None:
        for number in range(1, 91):
            await audit.write(record(number, list(AuditPart)[number % 3]), keep)

    await asyncio.wait_for(asyncio.gather(follow(), write()), 30)

    assert sorted(seen, key=lambda one: int(one[2:])) == [f"R-{number}" for number in range(1, 91)]


async def test_a_store_that_is_away_does_not_change_the_answer_and_has_the_record_when_it_is_back(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then the log has it: this process may be killed meanwhile."""
    with private_valkey() as server:
        other = await RedisStore.open(server.url())
        away = RedisAudit(other.link)
        server.kill()
        store = copy.copy(plane.store)
        store.audit = away

        with caplog.at_level("INFO", "cloudassist"):
            done = await handle(
                replace(plane, store=store),
                create("n"),
                LOCAL,
            )
            await asyncio.to_thread(eventually, lambda: "audit_record_late" in caplog.messages)
        server.start()

        async def is_written() -> bool:
            try:
                return bool((await away.page(where=lambda _: True, limit=1)).records)
            except Broken:
                return False

        assert done.command_id
        await eventually_async(is_written, within=20)
        assert "audit_record_lost" not in caplog.messages
        await away.close()
        await other.close()


async def test_a_process_that_ends_while_the_store_is_away_says_which_records_are_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with private_valkey() as server, caplog.at_level("INFO", "cloudassist"):
        other = await RedisStore.open(server.url())
        away = RedisAudit(other.link)
        server.kill()
        for number in range(3):
            away.write_soon(record(number), Keep(since_ms=0, most=1_000))

        await asyncio.wait_for(away.close(), 20)

        assert caplog.messages.count("audit_record_late") == 3
        assert caplog.messages.count("audit_record_lost") == 3
        await other.close()
