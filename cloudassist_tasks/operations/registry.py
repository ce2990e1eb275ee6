"""Which function carries out which operation, and the module that it stands in.

A process that lives for one call loads the module of that operation alone; the endpoint and a worker load
all before they are asked for any.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar, get_type_hints

from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane

O = TypeVar("O", bound=Operation[Any])  # noqa: E741 - an operation

Handler = Callable[[Plane, O], Coroutine[Any, Any, R]]

HOMES: Mapping[str, Sequence[str]] = {
    "account": ("DescribeAccountAttributes",),
    "audit": ("DescribeAuditRecords",),
    "commands": ("CreateCommand", "ModifyCommand", "CloneCommand", "DeleteCommand", "DescribeCommands"),
    "describing": ("DescribeInvocations", "DescribeInvocationResults"),
    "events": ("DescribeEvents",),
    "files": ("SendFile", "DescribeSendFileResults"),
    "instances": (
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeCloudAssistantStatus",
        "InstallCloudAssistant",
    ),
    "invocations": ("RunCommand", "InvokeCommand", "StopInvocation", "RetryInvocation"),
    "keys": (
        "CreateAccessKey",
        "DescribeAccessKeys",
        "DisableAccessKey",
        "EnableAccessKey",
        "RotateAccessKey",
        "RemoveAccessKey",
        "ResealAccessKeys",
    ),
    "modifying": ("ModifyInvocationAttribute",),
    "power": (
        "StartInstance",
        "StopInstance",
        "RebootInstance",
        "StartInstances",
        "StopInstances",
        "RebootInstances",
    ),
    "regions": ("DescribeRegions",),
    "registrations": (
        "AddInstances",
        "RemoveInstance",
        "DescribeRegistrations",
        "SelectInstances",
        "ProbeInstances",
        "PrepareInstances",
    ),
    "runs": ("DescribeRuns",),
    "schedules": ("DescribeSchedules", "DescribeRounds", "PauseSchedule", "ResumeSchedule", "RunScheduleNow"),
    "tagging": ("TagResources", "UntagResources", "ListTagResources"),
    "webhooks": ("DescribeWebhooks", "ResendWebhooks", "RemoveWebhooks", "RevealWebhookSecret"),
}
"""The operations that each module of this package implements."""

_HOME_OF = {action: home for home, actions in HOMES.items() for action in actions}

_handlers: dict[type[Operation[Any]], Callable[[Plane, Any], Coroutine[Any, Any, Any]]] = {}


def implements(operation: type[Operation[R]]) -> Callable[[Handler[O, R]], Handler[O, R]]:
    """Register the decorated function for an operation. The wrong result does not type-check; the wrong
    request is found when the module is imported."""

    def register(handler: Handler[O, R]) -> Handler[O, R]:
        if get_type_hints(handler).get("request") is not operation:
            raise TypeError(f"{handler!r} must take `request: {operation.__name__}`")
        if handler.__module__ != _place(_HOME_OF.get(operation.action(), "")):
            raise TypeError(f"{operation.__name__} is implemented in {handler.__module__}: say so in HOMES")
        if operation in _handlers:
            raise TypeError(f"{operation.__name__} is implemented twice")
        _handlers[operation] = handler
        return handler

    return register


def handler_of(operation: type[Operation[R]]) -> Handler[Operation[R], R]:
    """`Refused(NO_SUCH_OPERATION)`."""
    if operation not in _handlers:
        _load(operation.action())
    handler = _handlers.get(operation)
    if handler is None:
        raise Refused(
            Kind.NO_SUCH_OPERATION, f"there is no operation {operation.__name__}; see the list of operations"
        )
    return handler


def load() -> None:
    """Every module: for a process that is not to pause at the first call of an operation."""
    for action in _HOME_OF:
        _load(action)


def implemented() -> frozenset[type[Operation[Any]]]:
    """The operations that have a function."""
    load()
    return frozenset(_handlers)


def _load(action: str) -> None:
    if action in _HOME_OF:
        import_module(_place(_HOME_OF[action]))


def _place(home: str) -> str:
    return f"{__package__}.{home}"
