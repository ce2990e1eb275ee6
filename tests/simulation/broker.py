"""The broker that only hints: messages come late, twice, or not at all, as the seed has it.

`Broker` is the world's; each process publishes through a `SimulatedDispatch` of its own, the `Dispatch`
port. Whoever takes messages has an `Inbox`: what a process had taken when it died is gone, or comes again
much later.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.ids import InstanceId, RunKey
from cloudassist_tasks.domain.power import PowerKey
from tests.simulation.loop import WORLD, Process, State, VirtualLoop
from tests.simulation.trace import Trace

AGAIN_AFTER_S = (2.0, 50.0)
"""When a message that was delivered is delivered once more."""


@dataclass(frozen=True, slots=True)
class Message:
    about: RunKey | InstanceId
    """A run to execute, or an instance to collect."""
    again: bool = False

    def __str__(self) -> str:
        return self.about.run_id if isinstance(self.about, RunKey) else f"collect:{self.about}"


@dataclass(slots=True, kw_only=True)
class Manners:
    """How badly it behaves; changed by the storm."""

    up: bool = True
    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    """How often a message takes up to 20 s."""


class Inbox:
    """Of a process that takes messages, `slots` of them at once."""

    def __init__(self, process: Process, slots: int, take: Callable[[Message], None]) -> None:
        self.process = process
        self.slots = slots
        self.take = take
        self.held: set[Message] = set()
        self.open = True

    @property
    def has_room(self) -> bool:
        return self.open and self.process.state is not State.DEAD and len(self.held) < self.slots


class Broker:
    def __init__(self, loop: VirtualLoop, chance: random.Random, trace: Trace, manners: Manners) -> None:
        self._loop = loop
        self._chance = chance
        self._trace = trace
        self.manners = manners
        self._queues: dict[bool, deque[Message]] = {True: deque(), False: deque()}
        self._inboxes: list[Inbox] = []
        self._revoked: set[RunKey] = set()
        self.told: Counter[str] = Counter()
        """How often each callback was sent, by its id."""
        self.lost = self.doubled = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    def accept(self, message: Message, *, express: bool) -> None:
        """A message has arrived, or has not."""
        chance, manners = self._chance, self.manners
        if chance.random() < manners.lost:
            self.lost += 1
            self._trace.note("broker", "lost", message)
            return
        copies = 1
        if chance.random() < manners.twice:
            self.doubled += 1
            copies = 2
        for copy in range(copies):
            late_s = chance.uniform(0, 20) if chance.random() < manners.late else 0.0005
            if copy:
                late_s = chance.uniform(*AGAIN_AFTER_S)
            self._loop.call_later(late_s, self._queue, message, express, context=WORLD)

    def _queue(self, message: Message, express: bool) -> None:
        self._queues[express].append(message)
        self._hand_out()

    def attach(self, inbox: Inbox) -> None:
        self._inboxes.append(inbox)
        self._hand_out()

    def detach(self, inbox: Inbox) -> None:
        """Its process is dead, or takes no more."""
        inbox.open = False
        if inbox in self._inboxes:
            self._inboxes.remove(inbox)

    def forget_of_the_dead(self, inbox: Inbox) -> None:
        """What it held was acknowledged already, most of it."""
        self.detach(inbox)
        for message in sorted(inbox.held, key=str):
            if self._chance.random() < 0.3:
                after_s = self._chance.uniform(*AGAIN_AFTER_S)
                self._loop.call_later(after_s, self._queue, message, True, context=WORLD)
        inbox.held.clear()

    def done(self, inbox: Inbox, message: Message) -> None:
        inbox.held.discard(message)
        self._hand_out()

    def empty(self) -> int:
        """All messages that wait are gone."""
        lost = self.waiting
        for queue in self._queues.values():
            queue.clear()
        return lost

    def revoke(self, keys: Sequence[RunKey]) -> None:
        self._revoked.update(keys)

    def _hand_out(self) -> None:
        for express in (True, False):
            queue = self._queues[express]
            while queue and (ready := [inbox for inbox in self._inboxes if inbox.has_room]):
                message = queue.popleft()
                if not message.again and message.about in self._revoked:
                    continue
                inbox = self._chance.choice(ready)
                if message in inbox.held:  # the same once more: it need not wait for itself
                    self._loop.call_later(0.5, self._queue, message, express, context=WORLD)
                    continue
                inbox.held.add(message)
                inbox.process.call(inbox.take, message)


class SimulatedDispatch:
    """`ports.dispatch.Dispatch` of one process."""

    def __init__(self, process: Process, broker: Broker, chance: random.Random, trace: Trace) -> None:
        self._process = process
        self._broker = broker
        self._chance = chance
        self._trace = trace

    async def publish(self, keys: Sequence[RunKey], *, express: bool, again: bool = False) -> None:
        messages = [Message(key, again) for key in keys]
        sent = len(messages)
        if not self._broker.manners.up:  # a failed flush: some may have come through
            sent = self._chance.randint(0, len(messages)) if self._chance.random() < 0.3 else 0
        self._trace.note(self._process.name, "publish", sent, "of", *messages[:3])
        for message in messages[:sent]:
            self._broker.accept(message, express=express)
        await self._settle()

    async def publish_collect(self, instances: Sequence[InstanceId]) -> None:
        await self._settle()
        self._trace.note(self._process.name, "publish-collect", *instances[:3])
        for instance in instances:
            self._broker.accept(Message(instance), express=True)

    async def publish_prepare(self, instances: Sequence[InstanceId]) -> None:
        await self._settle()

    async def publish_power(self, keys: Sequence[PowerKey]) -> None:
        await self._settle()

    async def publish_callback(
        self, callback: Callback, callback_id: str, told: Mapping[str, object]
    ) -> None:
        await self._settle()
        self._trace.note(self._process.name, "callback", callback_id)
        self._broker.told[callback_id] += 1
        await self._settle()

    async def revoke(self, keys: Sequence[RunKey]) -> None:
        await self._settle()
        self._broker.revoke(keys)

    async def waiting(self) -> int:
        await self._settle()
        return self._broker.waiting

    async def _settle(self) -> None:
        """The exchange with it takes its time."""
        await asyncio.sleep(self._chance.uniform(0.0002, 0.002))
        if not self._broker.manners.up:
            raise Broken("the broker cannot be reached: Connection refused; is it up?")
