"""The zone of a schedule that names none, where that is its hosts': what one may say, and if all agree.

A schedule has one zone, since each of its times is one round on all of its instances.
"""

from collections.abc import Mapping

from cloudassist_tasks.domain.errors import Refused
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Contact
from cloudassist_tasks.domain.schedule.refusing import bad_frequency
from cloudassist_tasks.domain.schedule.zones import parse_zone

OF_HOSTS = "instance"
"""Given as a zone: that of the instances."""

LONGEST_CHARS = 64

_NAMES_OF_UTC = frozenset(
    {"GMT", "UTC", "UCT", "Zulu", "Universal", "Greenwich", "GMT0", "GMT+0", "GMT-0", "GMT+0:00", "GMT-0:00"}
)
_NEXT = "give a time zone in Frequency, as in 0 0 12 * * ? Asia/Shanghai"


def zone_said(text: str) -> str:
    """What a host says of its zone, as schedules take it; empty: nothing they would. UTC has one name."""
    if text.removeprefix("Etc/") in _NAMES_OF_UTC:
        return "UTC"
    if len(text) > LONGEST_CHARS:
        return ""
    try:
        return parse_zone(text).name
    except Refused:
        return ""


def agreed_zone(contacts: Mapping[InstanceId, Contact]) -> str:
    """The one zone of these instances. `Refused(BAD_FREQUENCY)` names one whose zone is not known, or two
    that differ."""
    _refuse_unknown(contacts)
    (first, its), *_ = contacts.items()
    _refuse_another(contacts, its.zone, f"{first} is")
    return its.zone


def check_in_zone(zone: str, contacts: Mapping[InstanceId, Contact]) -> None:
    """Whether instances may be added to a schedule that is in that zone. `Refused(BAD_FREQUENCY)`."""
    _refuse_unknown(contacts)
    _refuse_another(contacts, zone, "this one is")


def _refuse_unknown(contacts: Mapping[InstanceId, Contact]) -> None:
    for instance_id, contact in contacts.items():
        if not contact.zone:
            why = contact.last_error or "its host names none that can be used"
            raise bad_frequency(f"the time zone of {instance_id} is not known ({why}); {_NEXT}")


def _refuse_another(contacts: Mapping[InstanceId, Contact], zone: str, who: str) -> None:
    for instance_id, contact in contacts.items():
        if contact.zone != zone:
            raise bad_frequency(
                f"a schedule has one time zone, but {who} in {zone} and {instance_id} in"
                f" {contact.zone}; {_NEXT}"
            )
