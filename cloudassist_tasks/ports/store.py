"""The truth, as the engine sees it: the whole, of what the modules beside it say for each entity.

Every method is one atomic step unless it says otherwise. Moves of runs take the work of one run however
large its invocation is. The store decides no policy: which moves are legal, how many may wait, when a
claim is stale come as arguments. `now_ms` is always the Clock's.

Errors: `Broken` when the store cannot be reached or answers nonsense; `Refused` where a method says so.
"""

from collections.abc import Mapping
from typing import Protocol

from cloudassist_tasks.ports.access_keys import AccessKeys
from cloudassist_tasks.ports.audit import Audit
from cloudassist_tasks.ports.commands import Commands
from cloudassist_tasks.ports.events import Events
from cloudassist_tasks.ports.instances import Instances
from cloudassist_tasks.ports.invocations import Invocations
from cloudassist_tasks.ports.nonces import Nonces
from cloudassist_tasks.ports.outbox import Outbox
from cloudassist_tasks.ports.power import PowerRecords
from cloudassist_tasks.ports.runs import Runs
from cloudassist_tasks.ports.schedules import Schedules
from cloudassist_tasks.ports.tagging import Tags
from cloudassist_tasks.ports.workers import Workers

MAKE_ROOM = (
    "raise its maxmemory (CLOUDASSIST_STORE_MAX_MB for the embedded one), or have less kept"
    " (CLOUDASSIST_LIMIT_RETENTION_S and others: docs/operations.md)"
)
"""The next step where its memory is full."""


class Store(Protocol):
    commands: Commands
    instances: Instances
    invocations: Invocations
    runs: Runs
    workers: Workers
    power: PowerRecords
    schedules: Schedules
    tags: Tags
    access_keys: AccessKeys
    audit: Audit
    nonces: Nonces
    events: Events
    outbox: Outbox

    async def invocations_on(self, day: str) -> int:
        """How many count against that day's quota so far."""

    async def turn(self, what: str, *, for_ms: int) -> bool:
        """True for one caller, of all processes, per period: whose turn it is to do `what`."""

    async def is_full(self) -> bool:
        """Whether so much of its memory is taken that nothing new is opened."""

    async def facts(self) -> Mapping[str, str]:
        """What the server says of itself: `redis_version`, `server_name`, `aof_enabled`, …; `appendfsync`, if
        it says how it is configured."""

    async def ping(self) -> None:
        """`Broken` if the store does not answer."""

    async def close(self) -> None: ...
