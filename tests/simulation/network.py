"""The way between one process and the store: what a `Link` has its connections from, in place of sockets.

The product's `Link` runs as it is, with its deadlines, its tries and its words for what goes wrong. Below it
commands travel, wait and get lost by the seed: before they are carried out, or with their answer.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import exceptions

from cloudassist_tasks.store.link import Link
from tests.simulation.loop import WORLD, Process, VirtualLoop
from tests.simulation.server import Server
from tests.simulation.trace import Trace


@dataclass(slots=True, kw_only=True)
class Weather:
    """How bad the way is; shared by all processes, changed by the storm."""

    one_way_s: float = 0.0003
    """Usually; each trip takes half to twice as long."""
    slow: float = 0.0
    """How often a trip takes up to a thousand times as long."""
    lost_request: float = 0.0
    lost_answer: float = 0.0
    swallowed: float = 0.0
    """The connection stays, and nothing comes any more."""
    store_up: bool = True


class Wire:
    """Of one process. `cut`: this process alone does not reach the store."""

    def __init__(
        self, process: Process, server: Server, weather: Weather, chance: random.Random, trace: Trace
    ) -> None:
        self.process = process
        self.loop: VirtualLoop = process.loop
        self.server = server
        self.weather = weather
        self.chance = chance
        self.trace = trace
        self.cut = False

    @property
    def open(self) -> bool:
        return self.weather.store_up and not self.cut

    def link(self) -> Link:
        """The product's own, over this wire."""
        link = Link("unix:///simulated")
        link._pool = _Pool(self)  # type: ignore[assignment]
        return link

    def trip_s(self) -> float:
        chance, weather = self.chance, self.weather
        stretch = chance.uniform(0.5, 2.0)
        if weather.slow and chance.random() < weather.slow:
            stretch *= chance.uniform(1, 1_000)
        return weather.one_way_s * stretch


class _Pool:
    """What `Link` asks of redis-py's pool."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def get_connection(self) -> "_Connection":
        if not self._wire.open:
            raise exceptions.ConnectionError("Error 111 connecting. Connection refused.")
        return _Connection(self._wire)

    async def release(self, connection: "_Connection") -> None: ...

    async def aclose(self) -> None: ...


class _Connection:
    """Carries one exchange."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._answer = wire.loop.create_future()
        self._replies: deque[Any] = deque()

    async def send_packed_command(self, packed: Sequence[bytes], *, check_health: bool) -> None:
        wire, chance = self._wire, self._wire.chance
        fate = chance.random()
        gone_with_its_process = chance.random() < 0.3
        wire.loop.call_later(
            wire.trip_s(), self._arrive, b"".join(packed), fate, gone_with_its_process, context=WORLD
        )

    def _arrive(self, packed: bytes, fate: float, gone_with_its_process: bool) -> None:
        wire, weather = self._wire, self._wire.weather
        if gone_with_its_process and not wire.process.alive:
            return
        if not wire.open or fate < weather.lost_request:
            wire.trace.note(wire.process.name, "request-lost")
            self._break()
            return
        fate -= weather.lost_request
        if fate < weather.swallowed:
            wire.trace.note(wire.process.name, "request-swallowed")
            return
        fate -= weather.swallowed
        replies = wire.server.execute(wire.process.name, packed)
        if fate < weather.lost_answer:
            wire.trace.note(wire.process.name, "answer-lost")
            self._break()
            return
        fate -= weather.lost_answer
        if fate < weather.swallowed:
            wire.trace.note(wire.process.name, "answer-swallowed")
            return
        wire.loop.call_later(wire.trip_s(), self._answered, replies, context=WORLD)

    def _answered(self, replies: list[Any]) -> None:
        if not self._answer.done():
            if self._wire.open:
                self._answer.set_result(replies)
            else:
                self._break()

    def _break(self) -> None:
        if not self._answer.done():
            self._answer.set_exception(exceptions.ConnectionError("Connection reset by peer"))
            self._answer.exception()  # nobody may be left to ask

    async def read_response(self) -> Any:
        if not self._replies:
            self._replies.extend(await self._answer)
        reply = self._replies.popleft()
        if isinstance(reply, exceptions.ResponseError):
            raise reply
        return reply
