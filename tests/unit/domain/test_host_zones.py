"""What a host may say of its zone, and when the instances of a schedule have one together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact
from cloudassist_tasks.domain.schedule import needs_zone
from cloudassist_tasks.domain.schedule.host_zones import agreed_zone, check_in_zone, zone_said
from cloudassist_tasks.domain.schedule.zones import parse_zone


def contacts(*zones: str, last_error: str = "") -> dict[InstanceId, Contact]:
    """Of i-1, i-2, …"""
    return {
        InstanceId(f"i-{n}"): Contact(zone=zone, last_error=last_error)
        for n, zone in enumerate(zones, start=1)
    }


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT-8", "GMT+5:30"])
def test_a_zone_that_schedules_take_is_taken_from_a_host(zone: str) -> None:
    assert zone_said(zone) == zone


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "GMT", "Etc/Zulu", "Universal", "GMT+0:00"])
def test_utc_has_one_name(zone: str) -> None:
    assert zone_said(zone) == "UTC"


@pytest.mark.parametrize(
    "said",
    ["", "CST", "EST5EDT", "../etc/passwd", "posix/Asia/Tokyo", "No/Such", "GMT+15:00", "a" * 9_000 + "/b"],
)
def test_anything_else_is_not_known(said: str) -> None:
    assert zone_said(said) == ""


@given(st.text())
def test_whatever_a_host_says_is_a_zone_or_nothing(said: str) -> None:
    zone = zone_said(said)

    assert not zone or parse_zone(zone).name == zone


def test_instances_in_one_zone_agree() -> None:
    assert agreed_zone(contacts("Asia/Shanghai", "Asia/Shanghai")) == "Asia/Shanghai"
    assert agreed_zone(contacts("UTC")) == "UTC"


def test_two_that_differ_are_named_with_their_zones() -> None:
    with pytest.raises(
        Refused, match="i-1 is in Asia/Shanghai and i-3 in Europe/Berlin; give a time zone"
    ) as no:
        agreed_zone(contacts("Asia/Shanghai", "Asia/Shanghai", "Europe/Berlin", "UTC"))

    assert no.value.kind is Kind.BAD_FREQUENCY


def test_one_whose_zone_is_not_known_is_named_with_the_reason() -> None:
    with pytest.raises(Refused, match=r"zone of i-2 is not known \(its host names none"):
        agreed_zone(contacts("UTC", ""))
    with pytest.raises(Refused, match=r"zone of i-1 is not known \(no route\)") as no:
        agreed_zone(contacts("", last_error="no route"))

    assert no.value.kind is Kind.BAD_FREQUENCY


def test_who_comes_later_must_be_in_the_schedules_zone() -> None:
    check_in_zone("UTC", contacts("UTC", "UTC"))
    check_in_zone("UTC", {})

    with pytest.raises(Refused, match="this one is in UTC and i-2 in Asia/Tokyo"):
        check_in_zone("UTC", contacts("UTC", "Asia/Tokyo"))
    with pytest.raises(Refused, match="i-1 is not known"):
        check_in_zone("UTC", contacts(""))


@pytest.mark.parametrize(
    ("expression", "needs"),
    [
        ("0 0 12 * * ?", True),
        (" 0 0 12 * * ? 2027 ", True),
        ("0 0 12 * * ? */2", True),
        ("0 0 12 * * ? Asia/Tokyo", False),
        ("0 0 12 * * ? UTC", False),
        ("0 0 12 * * ? 2027 GMT+8:00", False),
        ("rate(20m)", False),
        ("RATE (20 m)", False),
        ("at(2027-12-31 23:00:00)", False),
    ],
)
def test_only_a_cron_expression_without_a_zone_needs_one(expression: str, needs: bool) -> None:
    assert needs_zone(expression) == needs
