"""The endpoint as an ASGI application.

    /          operations, by the vendor's wire
    /wait      answers when an invocation is closed
    /events    a stream of what happens
    /healthz   the process answers
    /readyz    store and broker answer

Anything else is an error in the same form.
"""

import asyncio

from starlette.applications import Starlette
from starlette.routing import Route

from cloudassist_tasks.api.answers import Answer
from cloudassist_tasks.api.calls import Answering, Call
from cloudassist_tasks.api.endpoint import Operations
from cloudassist_tasks.api.following import Following
from cloudassist_tasks.api.health import Health
from cloudassist_tasks.api.receiving import Bodies
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.operations import registry

__all__ = ["application"]

CALLS_AT_ONCE = 200
WAITS_AT_ONCE = 300
STREAMS_AT_ONCE = 100


def application(plane: Plane, ending: asyncio.Event) -> Starlette:
    """Over a plane that somebody else closes; used on that plane's event loop. `ending`: pages that wait end
    once it is set."""
    registry.load()
    bodies, health = Bodies(), Health(plane)
    following = Following(plane, bodies, ending)
    app = Starlette(
        routes=[
            Route("/", Answering(Operations(plane, bodies), at_once=CALLS_AT_ONCE)),
            Route("/wait", Answering(following.wait, at_once=WAITS_AT_ONCE, path="/wait")),
            Route("/events", Answering(following.events, at_once=STREAMS_AT_ONCE, path="/events")),
            Route("/healthz", Answering(health.alive, at_once=CALLS_AT_ONCE, path="/healthz")),
            Route("/readyz", Answering(health.ready, at_once=CALLS_AT_ONCE, path="/readyz")),
        ]
    )
    app.router.redirect_slashes = False
    app.router.default = Answering(_unknown, at_once=CALLS_AT_ONCE, path="unknown")
    return app


async def _unknown(call: Call) -> Answer:
    path = str(call.request.scope["path"])[:100]
    raise Refused(Kind.NO_SUCH_OPERATION, f"nothing is at {path!r}; operations are called at /")
