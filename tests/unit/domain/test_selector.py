"""Which instances are meant."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import (
    ClientState,
    Contact,
    Instance,
    InstanceStatus,
    OsType,
    client_state,
)
from cloudassist_tasks.domain.selector import (
    Selector,
    check_ids_or_tags,
    natural_order,
    select,
    targets,
)
from tests.unit.domain.refusals import refused


def instance(instance_id: str, **changes: Any) -> Instance:
    return replace(Instance(id=InstanceId(instance_id), host="127.0.0.1"), **changes)


FLEET = [
    instance("i-10", name="web-10", tags={"role": "web", "env": "prod"}),
    instance("i-2", name="web-2", tags={"role": "web", "env": "test"}),
    instance("i-1", name="db-1", tags={"role": "db", "env": "prod"}, status=InstanceStatus.STOPPED),
    instance("w-1", name="win-1", os_type=OsType.WINDOWS),
]

CONTACTS = {
    InstanceId("i-1"): Contact(last_contact_ms=5),
    InstanceId("i-2"): Contact(last_contact_ms=5, last_error="no route"),
}


def ids(*names: str) -> tuple[InstanceId, ...]:
    return tuple(InstanceId(name) for name in names)


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        (Selector(everything=True), ["i-1", "i-2", "i-10", "w-1"]),
        (Selector(ids=ids("i-10", "i-2", "i-10")), ["i-2", "i-10"]),
        (Selector(names=["web-*"]), ["i-2", "i-10"]),
        (Selector(names=["db-1", "*-10"]), ["i-1", "i-10"]),
        (Selector(tags={"role": "web", "env": "prod"}), ["i-10"]),
        (Selector(tags={"env": None}), ["i-1", "i-2", "i-10"]),
        (Selector(tags={"nothing": None}), []),
        (Selector(os_type=OsType.WINDOWS), ["w-1"]),
        (Selector(status=InstanceStatus.STOPPED), ["i-1"]),
        (Selector(client=ClientState.ONLINE), ["i-1"]),
        (Selector(client=ClientState.OFFLINE), ["i-2"]),
        (Selector(client=ClientState.UNKNOWN), ["i-10", "w-1"]),
        (Selector(everything=True, names=["*1"], os_type=OsType.LINUX), ["i-1"]),
        (Selector(ids=ids("i-1", "i-2"), tags={"env": "prod"}), ["i-1"]),
    ],
)
def test_all_criteria_must_hold_and_the_order_is_natural(selector: Selector, chosen: list[str]) -> None:
    assert chosen == [one.id for one in select(selector, FLEET, CONTACTS)]


def test_a_selector_that_asks_for_nothing_selects_nothing() -> None:
    with refused(Kind.MISSING_INSTANCES):
        select(Selector(), FLEET)


def test_unknown_ids_are_named() -> None:
    with refused(Kind.INSTANCE_NOT_FOUND, naming="i-98, i-99"):
        select(Selector(ids=ids("i-1", "i-98", "i-99", "i-98")), FLEET)


def test_ids_and_all_are_not_both_meant() -> None:
    with refused(Kind.TARGETS_CONFLICT):
        select(Selector(ids=ids("i-1"), everything=True), FLEET)


def test_a_run_needs_an_instance() -> None:
    with refused(Kind.NO_INSTANCE_MATCHES):
        targets(Selector(names=["nothing*"]), FLEET, at_most=50)


def test_a_run_has_at_most_so_many_instances() -> None:
    many = [instance(f"i-{n}") for n in range(51)]

    with refused(Kind.TOO_MANY_INSTANCES, naming="51 instances, the limit of one call is 50"):
        targets(Selector(everything=True), many, at_most=50)
    assert len(targets(Selector(everything=True), many[:50], at_most=50)) == 50


def test_the_vendors_calls_take_either_ids_or_tags() -> None:
    check_ids_or_tags(["i-1"], {})
    check_ids_or_tags([], {"env": "prod"})
    with refused(Kind.TARGETS_CONFLICT):
        check_ids_or_tags(["i-1"], {"env": "prod"})
    with refused(Kind.MISSING_INSTANCES):
        check_ids_or_tags([], {})


@given(st.permutations(["a", "a1", "a2", "a02", "a10", "b-1-9", "b-1-10", "1", "9", "10a"]))
def test_the_order_does_not_depend_on_the_order_of_the_question(names: list[str]) -> None:
    wanted = ["1", "9", "10a", "a", "a1", "a02", "a2", "a10", "b-1-9", "b-1-10"]

    assert wanted == sorted(names, key=natural_order)


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True), unique=True))
def test_any_ids_can_be_ordered(names: list[str]) -> None:
    assert sorted(names) == sorted(sorted(names, key=natural_order))


def test_a_failed_attempt_makes_a_client_offline() -> None:
    assert ClientState.UNKNOWN is client_state(Contact())
    assert ClientState.OFFLINE is client_state(Contact(last_error="refused"))
    assert ClientState.ONLINE is client_state(Contact(last_contact_ms=1))
