"""What the plane is kept busy with: callers that ask for everything there is, through every door.

Each caller draws from a seed of its own what it asks for next, keeps to a common rate, and notes everything
in the ledger. A call that fails in doubt is repeated with the same ClientToken until it is answered, as a
careful caller does; so it is acknowledged once, or never.
"""

import asyncio
import base64
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from cloudassist_tasks.contract.extensions import RetryInvocation
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import InvokeCommand, RunCommand, StopInvocation
from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.domain.errors import Broken, Refused
from cloudassist_tasks.domain.errors import Kind as Refusal
from cloudassist_tasks.tasks.enqueue import enqueue
from tests.chaos.ledger import Asked, Kind, Ledger, Stop
from tests.chaos.recipes import RECIPES, Recipe, script_of

__all__ = ["CALLBACK", "Caller", "Door", "Load"]

CALLBACK = "chaos.done"
"""The task, and the queue, that callbacks are sent to."""

Door = Callable[[Operation[Any]], Awaitable[Any]]

WEIGHTS: Mapping[Kind, float] = {
    Kind.RUN: 52,
    Kind.INVOKE: 14,
    Kind.FILE: 12,
    Kind.RETRY: 5,
    Kind.MESSAGE: 12,
    Kind.SCHEDULE: 4,
    Kind.BOOT: 1,
}
FIRST = (Kind.SCHEDULE, Kind.BOOT, Kind.MESSAGE, Kind.FILE, Kind.RUN, Kind.INVOKE)
"""What callers begin with, by their number: so everything is asked for in a short run, too."""
SIZES = (1, 1, 1, 2, 3, 5, 8, 12, 20, 40, 100)
MOST_SCHEDULES, MOST_BOOT_TASKS = 6, 2
AGAIN_S = 0.4
"""The pause before a call in doubt is repeated."""


@dataclass(slots=True, kw_only=True)
class Load:
    """What all callers share."""

    seed: int
    ledger: Ledger
    doors: Mapping[str, Door]
    """Ways that answer."""
    app: Celery
    """The way that does not: messages."""
    loopback: Sequence[str]
    machines: Sequence[str]
    commands: Mapping[str, str]
    """Kept commands: recipe → id."""
    marks: Path
    files: Path
    webhook: str
    rate: float
    """Runs asked for per second, on average."""
    most_open: int
    """Callers wait while more runs than this are open."""
    open_runs: int = 0
    """As the watch has last seen them."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """No more new calls; those in doubt are still repeated …"""
    hopeless: asyncio.Event = field(default_factory=asyncio.Event)
    """… until this."""
    began_s: float = 0.0


class Caller:
    """One of several, each with chance of its own."""

    def __init__(self, load: Load, number: int) -> None:
        self.load = load
        self.number = number
        self.chance = random.Random(f"load {load.seed} {number}")
        self.asked = 0
        self.following: list[asyncio.Task[None]] = []
        """Stops, most of them. What goes wrong in them is raised when all is over."""

    async def call_until_over(self) -> None:
        """One call after the other."""
        while not self.load.over.is_set():
            await self._keep_to_the_rate()
            await self._call()
        await asyncio.gather(*self.following)

    async def _keep_to_the_rate(self) -> None:
        load, loop = self.load, asyncio.get_running_loop()
        while not load.over.is_set() and (
            load.ledger.runs > load.rate * (loop.time() - load.began_s) + 20
            or load.open_runs > load.most_open
        ):
            await asyncio.sleep(0.05)

    async def _call(self) -> None:
        kind = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if not self.asked:
            kind = FIRST[self.number % len(FIRST)]
        match kind:
            case Kind.RUN | Kind.INVOKE:
                await self._run(kind)
            case Kind.FILE:
                await self._send_file()
            case Kind.RETRY:
                await self._retry()
            case Kind.MESSAGE:
                await self._message()
            case Kind.SCHEDULE | Kind.BOOT:
                await self._schedule(kind)

    # -- what is asked for

    def _asked(self, kind: Kind, recipe: str, members: Sequence[str], timeout_s: int, **more: Any) -> Asked:
        self.asked += 1
        token = f"chaos-{self.load.seed}-{self.number}-{self.asked}"
        door = self.chance.choice(list(self.load.doors))
        fields: dict[str, Any] = {"door": door, **more}
        return self.load.ledger.add(
            Asked(token=token, kind=kind, recipe=recipe, members=members, timeout_s=timeout_s, **fields)
        )

    def _recipe(self) -> Recipe:
        recipes = list(RECIPES.values())
        return self.chance.choices(recipes, [recipe.weight for recipe in recipes])[0]

    def _members(self, most: int = 100) -> Sequence[str]:
        size = min(self.chance.choice(SIZES), most, len(self.load.loopback))
        members = self.chance.sample(self.load.loopback, size)
        if self.load.machines and self.chance.random() < 0.3:
            members[: max(1, size // 10)] = [self.chance.choice(self.load.machines)]
        return members

    def _wishes(self, asked: Asked) -> dict[str, Any]:
        wishes: dict[str, Any] = {"client_token": asked.token, "timeout": asked.timeout_s}
        if asked.webhook:
            wishes["webhook"] = self.load.webhook
        if asked.callback:
            wishes["callback"] = {"task": CALLBACK, "queue": CALLBACK, "kwargs": {"token": asked.token}}
        if asked.at_once:
            wishes["max_concurrency"] = str(asked.at_once)
        if asked.max_errors is not None:
            wishes["max_errors"] = str(asked.max_errors)
        return wishes

    async def _run(self, kind: Kind) -> None:
        recipe, members = self._recipe(), self._members()
        asked = self._asked(
            kind,
            recipe.name,
            members,
            recipe.timeout_s,
            webhook=self.chance.random() < 0.4,
            callback=self.chance.random() < 0.3,
            at_once=self.chance.choice((0, 0, 5, 10)) if recipe.brief else 0,
            max_errors=self.chance.choice((None, None, None, 2)),
        )
        if kind is Kind.INVOKE:
            operation: Operation[Any] = InvokeCommand(
                command_id=self.load.commands[recipe.name], instance_id=members, **self._wishes(asked)
            )
        else:
            operation = self._run_command(recipe, members, **self._wishes(asked))
        await self._open(asked, operation)
        if asked.invoke_id and recipe.stopped:
            self._later(self._stop(asked))

    def _run_command(self, recipe: Recipe, members: Sequence[str], **wishes: Any) -> RunCommand:
        content = base64.b64encode(script_of(recipe, self.load.marks).encode()).decode()
        return RunCommand(
            type="RunShellScript",
            command_content=content,
            content_encoding="Base64",
            instance_id=members,
            **wishes,
        )

    async def _send_file(self) -> None:
        """To one instance, under a name of its own: sent twice, it would be refused as there already."""
        [member] = self._members(1)
        asked = self._asked(
            Kind.FILE, "file", [member], 30, webhook=self.chance.random() < 0.4, callback=False
        )
        operation = SendFile(
            name=asked.token,
            content=asked.token,
            target_dir=f"{self.load.files}/{member}",
            instance_id=[member],
            **self._wishes(asked),
        )
        await self._open(asked, operation)

    async def _retry(self) -> None:
        """Of something that may have failed. It has no ClientToken: in doubt, it is not asked again."""
        failing = [one for one in self.load.ledger.acknowledged if one.recipe in ("fails", "late")]
        if not failing:
            return
        first = self.chance.choice(failing)
        asked = self._asked(
            Kind.RETRY, first.recipe, first.members, first.timeout_s, first=first.invoke_id, asked_ms=now_ms()
        )
        try:
            opened = await self.load.doors[asked.door](RetryInvocation(invoke_id=first.invoke_id))
            asked.invoke_id = opened.invoke_id
        except Broken as error:
            asked.in_doubt, asked.refused = True, f"{type(error).__name__}: {error}"
        except Refused as refusal:
            asked.refused = f"{refusal.kind}: {refusal.message}"
            asked.rightly = "has failed" in refusal.message  # nothing has
        asked.answered_ms = now_ms()

    async def _message(self) -> None:
        """As another app asks: the callback tells what came of it."""
        recipe, members = self._recipe(), self._members(20)
        asked = self._asked(
            Kind.MESSAGE, recipe.name, members, recipe.timeout_s, callback=True, door="message"
        )
        callback = {"task": CALLBACK, "queue": CALLBACK, "kwargs": {"token": asked.token}}
        operation = self._run_command(recipe, members, timeout=recipe.timeout_s)
        while not self.load.hopeless.is_set():
            asked.tries += 1
            try:
                await asyncio.to_thread(
                    enqueue, self.load.app, operation, callback=callback, task_id=asked.token
                )
                return
            except Exception:  # of kombu's many: the broker is away
                await asyncio.sleep(AGAIN_S)

    async def _schedule(self, kind: Kind) -> None:
        """What repeats; a schedule is stopped after some rounds, or at the end."""
        so_far = [one for one in self.load.ledger.entries if one.kind is kind]
        if kind is Kind.BOOT and (not self.load.machines or len(so_far) >= MOST_BOOT_TASKS):
            return
        if len([one for one in so_far if not one.stops]) >= MOST_SCHEDULES:
            return
        recipe = RECIPES[self.chance.choice(("short", "second"))]
        members = [self.chance.choice(self.load.machines)] if kind is Kind.BOOT else self._members(3)
        asked = self._asked(kind, recipe.name, members, 10)
        when: dict[str, Any] = (
            {"repeat_mode": "EveryReboot"}
            if kind is Kind.BOOT
            else {"frequency": self.chance.choice(("rate(10s)", "rate(15s)", "*/10 * * * * *"))}
        )
        await self._open(asked, self._run_command(recipe, members, **self._wishes(asked), **when))
        if asked.invoke_id and kind is Kind.SCHEDULE and self.chance.random() < 0.5:
            self._later(self._stop(asked, after_s=self.chance.uniform(25, 90)))

    # -- calls that insist

    async def _open(self, asked: Asked, operation: Operation[Any]) -> None:
        """Until it is answered. Sometimes twice at once, or once more: with one token there is one answer."""
        doors = list(self.load.doors.values())
        door = self.load.doors[asked.door]
        if self.chance.random() < 0.05:
            answers = await asyncio.gather(*(self._insist(asked, one, operation) for one in doors))
        else:
            answers = [await self._insist(asked, door, operation)]
            if self.chance.random() < 0.1:
                answers.append(await self._insist(asked, self.chance.choice(doors), operation))
        ids = [answer for answer in answers if answer]
        if ids:
            asked.invoke_id = ids[0]
            asked.others = [other for other in ids[1:] if other != ids[0]]

    async def _insist(self, asked: Asked, door: Door, operation: Operation[Any]) -> str:
        while not self.load.hopeless.is_set():
            asked.tries += 1
            try:
                answer = await door(operation)
                return str(answer.invoke_id)
            except Broken:
                pass  # in doubt
            except Refused as refusal:
                if refusal.kind is not Refusal.CLIENT_TOKEN_IN_PROGRESS:
                    asked.refused = f"{refusal.kind}: {refusal.message}"
                    return ""
            await asyncio.sleep(AGAIN_S)
        return ""

    async def _stop(self, asked: Asked, after_s: float | None = None) -> None:
        """All of it, or only some."""
        wait_s = self.chance.uniform(0, 12) if after_s is None else after_s
        some = after_s is None and len(asked.members) > 2 and self.chance.random() < 0.3
        members = asked.members[: len(asked.members) // 2] if some else ()
        try:
            await asyncio.wait_for(self.load.over.wait(), wait_s)
        except TimeoutError:
            pass
        await self.stop_now(asked, members)
        if members:
            await self._stop(asked, after_s=5)

    async def stop_now(self, asked: Asked, members: Sequence[str] = ()) -> None:
        stop = Stop(members=members)
        asked.stops.append(stop)
        while not self.load.hopeless.is_set():
            try:
                await self.load.doors[asked.door](
                    StopInvocation(invoke_id=asked.invoke_id, instance_id=members)
                )
                stop.acknowledged_ms = now_ms()
                return
            except Broken:
                await asyncio.sleep(AGAIN_S)
            except Refused as refusal:
                stop.too_late = refusal.kind is Refusal.INVOCATION_FINISHED
                if not stop.too_late:
                    asked.refused = f"stop: {refusal.kind}: {refusal.message}"
                return

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self.following.append(asyncio.create_task(work))


def now_ms() -> int:
    """By this machine's clock, which is the store's."""
    return int(1_000 * time.time())
