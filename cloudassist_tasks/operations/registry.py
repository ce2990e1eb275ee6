"""Which function carries out which operation."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, get_type_hints

from cloudassist_tasks.contract.operation import Operation, R
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane

O = TypeVar("O", bound=Operation[Any])  # noqa: E741 - an operation

Handler = Callable[[Plane, O], Coroutine[Any, Any, R]]

_handlers: dict[type[Operation[Any]], Callable[[Plane, Any], Coroutine[Any, Any, Any]]] = {}


def implements(operation: type[Operation[R]]) -> Callable[[Handler[O, R]], Handler[O, R]]:
    """Register the decorated function for an operation. The wrong result does not type-check; the wrong
    request is found when the module is imported."""

    def register(handler: Handler[O, R]) -> Handler[O, R]:
        if get_type_hints(handler).get("request") is not operation:
            raise TypeError(f"{handler!r} must take `request: {operation.__name__}`")
        if operation in _handlers:
            raise TypeError(f"{operation.__name__} is implemented twice")
        _handlers[operation] = handler
        return handler

    return register


def handler_of(operation: type[Operation[R]]) -> Handler[Operation[R], R]:
    """`Refused(NO_SUCH_OPERATION)`."""
    handler = _handlers.get(operation)
    if handler is None:
        raise Refused(
            Kind.NO_SUCH_OPERATION, f"there is no operation {operation.__name__}; see the list of operations"
        )
    return handler


def implemented() -> frozenset[type[Operation[Any]]]:
    """The operations that have a function."""
    return frozenset(_handlers)
