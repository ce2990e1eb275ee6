"""The endpoint as an ASGI application.

    /          operations, by the vendor's wire
    /healthz   the process answers
    /readyz    store and broker answer

Anything else is an error in the same form.
"""

from starlette.applications import Starlette
from starlette.routing import Route

from cloudassist_tasks.api.answers import Answer
from cloudassist_tasks.api.calls import Answering, Call
from cloudassist_tasks.api.endpoint import Operations
from cloudassist_tasks.api.health import Health
from cloudassist_tasks.api.receiving import Bodies
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane

__all__ = ["application"]

CALLS_AT_ONCE = 200


def application(plane: Plane) -> Starlette:
    """Over a plane that somebody else closes; used on that plane's event loop."""
    bodies, health = Bodies(), Health(plane)
    return Starlette(
        routes=[
            Route("/", Answering(Operations(plane, bodies), at_once=CALLS_AT_ONCE)),
            Route("/healthz", Answering(health.alive, at_once=CALLS_AT_ONCE, path="/healthz")),
            Route("/readyz", Answering(health.ready, at_once=CALLS_AT_ONCE, path="/readyz")),
            Route("/{path:path}", Answering(_unknown, at_once=CALLS_AT_ONCE, path="unknown")),
        ]
    )


async def _unknown(call: Call) -> Answer:
    path = str(call.request.scope["path"])[:100]
    raise Refused(Kind.NO_SUCH_OPERATION, f"nothing is at {path!r}; operations are called at /")
