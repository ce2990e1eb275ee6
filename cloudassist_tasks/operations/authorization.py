"""Whether a caller may do what he asks for: his role, then his policy.

A policy never widens a role. Where it limits a caller to instances with some tags, an operation that cannot
be confined to them is refused; so is what nobody has decided about. Whoever is limited in any way does not
manage access keys: he could make himself one that is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.access import Caller, Policy, Role
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import InstanceId, InvokeId
from cloudassist_tasks.domain.text import some_of
from cloudassist_tasks.domain.wildcard import matches
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations.visible_instances import narrowed

CHUNK = 1_000
"""Members of an invocation looked at in one step of the store."""


class Reach(Enum):
    """What an operation can touch, for a caller who is limited to instances with some tags."""

    NO_INSTANCE = auto()
    """No instance at all: such a caller may ask for it."""
    SELECTED = auto()
    """The instances that are named (or have the tags given), or all those of the invocation that is named.
    Each must have the tags; without either it is refused."""
    LISTED = auto()
    """Instances that are listed or selected: only those with the tags are there."""
    ANYTHING = auto()
    """More than can be told: it is refused."""


@dataclass(frozen=True, slots=True)
class Rule:
    least: Role
    reach: Reach


_VIEWS, _RUNS, _OWNS = Role.VIEWER, Role.OPERATOR, Role.ADMIN

RULES: Mapping[str, Rule] = {
    "DescribeInvocations": Rule(_VIEWS, Reach.SELECTED),
    "DescribeInvocationResults": Rule(_VIEWS, Reach.SELECTED),
    "DescribeSendFileResults": Rule(_VIEWS, Reach.SELECTED),
    "DescribeRuns": Rule(_VIEWS, Reach.SELECTED),
    "DescribeCommands": Rule(_VIEWS, Reach.NO_INSTANCE),
    "DescribeAccountAttributes": Rule(_VIEWS, Reach.NO_INSTANCE),
    "DescribeRegions": Rule(_VIEWS, Reach.NO_INSTANCE),
    "DescribeInstances": Rule(_VIEWS, Reach.LISTED),
    "DescribeInstanceStatus": Rule(_VIEWS, Reach.LISTED),
    "DescribeCloudAssistantStatus": Rule(_VIEWS, Reach.LISTED),
    "DescribeRegistrations": Rule(_VIEWS, Reach.LISTED),
    "SelectInstances": Rule(_VIEWS, Reach.LISTED),
    "DescribeEvents": Rule(_VIEWS, Reach.SELECTED),
    "DescribeWebhooks": Rule(_VIEWS, Reach.ANYTHING),
    "ListTagResources": Rule(_VIEWS, Reach.ANYTHING),
    "RunCommand": Rule(_RUNS, Reach.SELECTED),
    "InvokeCommand": Rule(_RUNS, Reach.SELECTED),
    "SendFile": Rule(_RUNS, Reach.SELECTED),
    "StopInvocation": Rule(_RUNS, Reach.SELECTED),
    "RetryInvocation": Rule(_RUNS, Reach.SELECTED),
    "ModifyInvocationAttribute": Rule(_RUNS, Reach.SELECTED),
    "DescribeSchedules": Rule(_VIEWS, Reach.SELECTED),
    "DescribeRounds": Rule(_VIEWS, Reach.SELECTED),
    "PauseSchedule": Rule(_RUNS, Reach.SELECTED),
    "ResumeSchedule": Rule(_RUNS, Reach.SELECTED),
    "RunScheduleNow": Rule(_RUNS, Reach.SELECTED),
    "ProbeInstances": Rule(_RUNS, Reach.SELECTED),
    "CreateCommand": Rule(_OWNS, Reach.NO_INSTANCE),
    "ModifyCommand": Rule(_OWNS, Reach.NO_INSTANCE),
    "DeleteCommand": Rule(_OWNS, Reach.NO_INSTANCE),
    "CloneCommand": Rule(_OWNS, Reach.NO_INSTANCE),
    "InstallCloudAssistant": Rule(_OWNS, Reach.SELECTED),
    "PrepareInstances": Rule(_OWNS, Reach.SELECTED),
    "StartInstance": Rule(_OWNS, Reach.SELECTED),
    "StartInstances": Rule(_OWNS, Reach.SELECTED),
    "StopInstance": Rule(_OWNS, Reach.SELECTED),
    "StopInstances": Rule(_OWNS, Reach.SELECTED),
    "RebootInstance": Rule(_OWNS, Reach.SELECTED),
    "RebootInstances": Rule(_OWNS, Reach.SELECTED),
    "RemoveInstance": Rule(_OWNS, Reach.SELECTED),
    "AddInstances": Rule(_OWNS, Reach.ANYTHING),
    "TagResources": Rule(_OWNS, Reach.ANYTHING),
    "UntagResources": Rule(_OWNS, Reach.ANYTHING),
    "ResendWebhooks": Rule(_OWNS, Reach.ANYTHING),
    "RemoveWebhooks": Rule(_OWNS, Reach.ANYTHING),
    "RevealWebhookSecret": Rule(_OWNS, Reach.ANYTHING),
    "CreateAccessKey": Rule(_OWNS, Reach.ANYTHING),
    "DescribeAccessKeys": Rule(_OWNS, Reach.ANYTHING),
    "DisableAccessKey": Rule(_OWNS, Reach.ANYTHING),
    "EnableAccessKey": Rule(_OWNS, Reach.ANYTHING),
    "RotateAccessKey": Rule(_OWNS, Reach.ANYTHING),
    "RemoveAccessKey": Rule(_OWNS, Reach.ANYTHING),
    "ResealAccessKeys": Rule(_OWNS, Reach.ANYTHING),
    "DescribeAuditRecords": Rule(_OWNS, Reach.ANYTHING),
}
"""The decision about each operation, by Action."""

_UNDECIDED = Rule(_OWNS, Reach.ANYTHING)

_RANK: Mapping[Role, int] = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}

_KEY_MANAGEMENT = frozenset(action for action in RULES if action.endswith(("AccessKey", "AccessKeys")))

_SUPERUSER = "root"
"""Whom a script runs as where the request names nobody."""


def rule_of(action: str) -> Rule:
    """What nobody has decided about is for administrators who are not limited."""
    return RULES.get(action, _UNDECIDED)


def check_action(caller: Caller, action: str) -> None:
    """By role and action alone, before anything else of the request is looked at. `Refused(FORBIDDEN)`."""
    _check_role(caller, action, rule_of(action).least)
    policy = caller.policy
    if policy.actions and not any(matches(pattern, action) for pattern in policy.actions):
        raise _forbidden(caller, action, "its policy does not name this operation")
    if action in _KEY_MANAGEMENT and (policy.actions or policy.instance_tags or policy.users):
        raise _forbidden(caller, action, "a key that a policy limits does not manage keys")


async def permitted(plane: Plane, operation: Operation[Any], caller: Caller) -> Plane:
    """The plane on which the operation may be carried out for this caller, whose action was checked and whose
    request is well-formed. `Refused(FORBIDDEN)`."""
    action, policy = operation.action(), caller.policy
    if isinstance(operation, RunCommand) and operation.keep_command:
        _check_role(caller, "RunCommand with KeepCommand", Role.ADMIN)
    if policy.users:
        await _check_user(plane, operation, caller)
    if not policy.instance_tags:
        return plane
    visible = narrowed(plane, policy.instance_tags)
    match rule_of(action).reach:
        case Reach.NO_INSTANCE:
            return plane
        case Reach.LISTED:
            await _check_visible(visible, caller, action, _named(operation))
        case Reach.SELECTED:
            await _check_selected(visible, operation, caller)
        case Reach.ANYTHING:
            raise _forbidden(
                caller, action, f"it is limited to instances with the tags {_tags(policy)}, this goes beyond"
            )
    return visible


# -- roles


def _check_role(caller: Caller, action: str, least: Role) -> None:
    if _RANK[caller.role] < _RANK[least]:
        raise _forbidden(caller, action, f"its role is {caller.role}, the operation needs {least}")


# -- users


async def _check_user(plane: Plane, operation: Operation[Any], caller: Caller) -> None:
    user = await _run_as(plane, operation)
    if user is not None and user not in caller.policy.users:
        raise _forbidden(
            caller, operation.action(), f"it may run as {some_of(caller.policy.users)}, not as {user[:64]}"
        )


async def _run_as(plane: Plane, operation: Operation[Any]) -> str | None:
    """Whose rights the request uses on an instance; None: nobody's."""
    if isinstance(operation, RunCommand | InvokeCommand):
        return operation.username or _SUPERUSER
    match operation.action():
        case "SendFile":  # placed with the login's rights, whoever owns it then
            return _SUPERUSER
        case "RetryInvocation" | "ModifyInvocationAttribute" | "RunScheduleNow" | "ResumeSchedule":
            invocation = await plane.store.invocations.get(InvokeId(_invoke_id(operation)))
            return (invocation.spec.username or _SUPERUSER) if invocation else None
        case _:
            return None


# -- instances


async def _check_selected(visible: Plane, operation: Operation[Any], caller: Caller) -> None:
    action, named, invoke_id = operation.action(), _named(operation), _invoke_id(operation)
    if named:
        await _check_visible(visible, caller, action, named)
    if invoke_id and (not named or action == "ModifyInvocationAttribute"):  # there the named ones are added
        await _check_members(visible, caller, action, InvokeId(invoke_id))
    if not named and not invoke_id and not getattr(operation, "resource_tag", ()):
        raise _forbidden(
            caller,
            action,
            f"it is limited to instances with the tags {_tags(caller.policy)}; name instances of these, or an"
            " invocation on them alone",
        )


async def _check_visible(visible: Plane, caller: Caller, action: str, ids: Sequence[InstanceId]) -> None:
    """One that is not registered is refused likewise: its name is not told apart."""
    if not ids:
        return
    seen = await visible.store.instances.get_many(ids)
    if hidden := [instance_id for instance_id in ids if instance_id not in seen]:
        raise _forbidden(
            caller,
            action,
            f"it is limited to instances with the tags {_tags(caller.policy)}, which are not those of"
            f" {some_of([id_[:64] for id_ in hidden])}",
        )


async def _check_members(visible: Plane, caller: Caller, action: str, invoke_id: InvokeId) -> None:
    """All of them, also those that are no longer registered; an invocation without any is unknown."""
    start = 0
    while members := await visible.store.invocations.members(invoke_id, start=start, limit=CHUNK):
        await _check_visible(visible, caller, action, members)
        start += len(members)
    if not start:
        raise _forbidden(caller, action, f"no invocation {invoke_id[:64]} on instances that it may use")


def _named(operation: Operation[Any]) -> Sequence[InstanceId]:
    """The instances that the request names, one or many, each once."""
    named = getattr(operation, "instance_id", None) or ()
    return [InstanceId(id_) for id_ in dict.fromkeys((named,) if isinstance(named, str) else named)]


def _invoke_id(operation: Operation[Any]) -> str:
    return getattr(operation, "invoke_id", None) or ""


def _tags(policy: Policy) -> str:
    return some_of([f"{key}={value}" for key, value in policy.instance_tags.items()])


def _forbidden(caller: Caller, action: str, reason: str) -> Refused:
    return Refused(Kind.FORBIDDEN, f"{action} is not allowed for {caller.name}: {reason}")
