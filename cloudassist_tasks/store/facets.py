"""What an invocation or a kept command is found by: the marks that carry its number.

Written when it is opened, moved when its tags change, taken away when it is forgotten; all three ask here
which they are, so none can be left behind.
"""

from collections.abc import Callable, Sequence

from cloudassist_tasks.domain.command import Command
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.invocation import InvocationKind, InvocationSpec, RepeatMode
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.domain.tags import TagFilter
from cloudassist_tasks.store import keys

MarksOf = Callable[[str, str], str]
"""The key of the marks of a facet and a value."""

NUMBER_BITS = 17
"""Enough for the number of an invocation's runs, less one: at most 131,072."""

_AGAIN = (RepeatMode.PERIOD, RepeatMode.NEXT_REBOOT_ONLY, RepeatMode.EVERY_REBOOT)
REPEATED = [keys.marks("repeat", mode) for mode in _AGAIN]
"""By the modes in which an invocation runs again by itself, until it ends."""

MORE_MEMBERS = [keys.marks("members", str(power)) for power in range(NUMBER_BITS)]
"""By power of two, how many members an invocation has besides the first; constant."""


# -- invocations


def of_invocation(spec: InvocationSpec) -> Sequence[str]:
    """What its spec says. The instances, and the states and numbers of the runs, come besides."""
    marks = [
        of_kind(spec.kind),
        keys.marks("command", spec.command.id),
        keys.marks("type", spec.command.type),
        keys.marks("repeat", spec.repeat_mode),
        *of_tags(keys.marks, spec.tags),
    ]
    if spec.resource_group:
        marks.append(keys.marks("group", spec.resource_group))
    return marks


def of_kind(kind: InvocationKind) -> str:
    """All of a kind; also those in which a listing looks."""
    return keys.marks("kind", kind)


def of_instance(instance_id: InstanceId) -> str:
    """The invocations that an instance is a member of."""
    return keys.marks("instance", instance_id)


def of_status(status: RunStatus) -> str:
    """At least one run is in this state. Kept by the scripts that move runs."""
    return keys.RUN_MARKS + status


def of_end(instance_id: InstanceId, status: RunStatus) -> str:
    """The instance's run ended so. Only where there are others: else the state of the whole tells."""
    return f"{keys.RUN_MARKS}of:{instance_id}:{status}"


def of_more_members(total: int) -> Sequence[str]:
    """Those of MORE_MEMBERS that an invocation of so many carries."""
    return [mark for power, mark in enumerate(MORE_MEMBERS) if (total - 1) >> power & 1]


def of_more_in(status: RunStatus) -> Sequence[str]:
    """By power of two, how many runs besides the first ended so. Written at the close."""
    return [f"{of_status(status)}:{power}" for power in range(NUMBER_BITS)]


def of_counts(total: int) -> Sequence[str]:
    """Whatever the states and numbers of an invocation's runs may have marked."""
    marks = [of_status(status) for status in RunStatus]
    if total > 1:
        marks += [*of_more_members(total), *(mark for status in FINAL for mark in of_more_in(status))]
    return marks


# -- kept commands


def of_command(command: Command) -> Sequence[str]:
    """All but the name and the description, which are read as they are."""
    marks = [keys.COMMAND_MARKS, keys.command_marks("type", command.type)]
    if command.resource_group:
        marks.append(keys.command_marks("group", command.resource_group))
    return [*marks, *of_tags(keys.command_marks, command.tags)]


# -- tags


def of_tags(marks: MarksOf, tags: TagFilter) -> Sequence[str]:
    """With a value: that one. None: any. A tag that is attached carries both."""
    found = []
    for key, value in tags.items():
        found.append(marks("tag", key))
        if value is not None:
            found.append(marks("tag_value", f"{len(key)}.{key}={value}"))
    return found
