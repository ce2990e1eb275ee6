"""The control plane's parts, as ports: what every verb of the engine is given."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.ports.clock import Clock
from cloudassist_tasks.ports.dispatch import Dispatch
from cloudassist_tasks.ports.notify import Notify
from cloudassist_tasks.ports.power import PowerSwitch
from cloudassist_tasks.ports.store import Store
from cloudassist_tasks.ports.transport import Transport
from cloudassist_tasks.ports.vault import Vault
from cloudassist_tasks.ports.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    store: Store
    clock: Clock
    dispatch: Dispatch
    notify: Notify
    transport: Transport
    switch: PowerSwitch
    vault: Vault
    webhooks: Webhooks
    settings: Settings
    new_id: Callable[[str], str]
    """A fresh id with this prefix (`t-`, `c-`): never given twice."""
    close: Callable[[], Awaitable[None]]
    """End all connections; what runs on hosts goes on."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this process has closed an invocation that somebody is told of: who delivers looks at once."""

    @property
    def limits(self) -> Limits:
        return self.settings.limits
