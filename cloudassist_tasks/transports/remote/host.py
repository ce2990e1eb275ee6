"""The `Host` port over any connection: runs launched, followed, stopped and collected through the helper.

What the helper answers becomes values of the port; which of its two sides (the login user, or root through
sudo) a call goes to follows from the wanted user. PROTOCOL.md beside this file is the other half.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from cloudassist_tasks.domain.boot import Boot
from cloudassist_tasks.domain.errors import ErrorCode, LostContact, RunFailed
from cloudassist_tasks.domain.instance import HostFacts
from cloudassist_tasks.domain.outcome import HostWord
from cloudassist_tasks.domain.schedule.host_zones import zone_said
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.transport import (
    Ended,
    Event,
    Greeting,
    HostResult,
    HostState,
    Output,
    Payload,
    Report,
    Started,
)
from cloudassist_tasks.transports.link import Link, Purpose, Side
from cloudassist_tasks.transports.remote.calling import Call, call
from cloudassist_tasks.transports.remote.frames import Frame, Garbled
from cloudassist_tasks.transports.remote.payload import encode

__all__ = ["RemoteAttachment", "RemoteHost"]

RUNS_PER_CALL = 50
"""How many runs one collect or acknowledge names; the command line stays far below any host's limit."""

FRESH = frozenset({HostState.ABSENT, HostState.PREPARED})


class RemoteHost:
    """The helper on one instance."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def facts(self) -> HostFacts:
        """The login side's; newer than those of `Reached` if the helper had to be installed since."""
        return self._link.facts[Side.LOGIN]

    async def launch(self, run_id: str, *, user: str) -> "RemoteAttachment":
        words = (run_id, "{nonce}")
        opened = await call(self._link, self._side(user), "launch", *words, purpose=Purpose.FOLLOW)
        return await self._attach(run_id, user, opened)

    async def follow(self, run_id: str, *, user: str, offset: int) -> "RemoteAttachment":
        words = (run_id, "{nonce}", str(offset))
        opened = await call(self._link, self._side(user), "follow", *words, purpose=Purpose.FOLLOW)
        return await self._attach(run_id, user, opened)

    async def cancel(self, run_id: str, *, user: str) -> Report:
        side = self._side(user)
        opened = await call(self._link, side, "cancel", run_id, "{nonce}", purpose=Purpose.CONTROL)
        return _report(await opened.rest(), self._link.address)

    async def collect(self, offsets: Mapping[str, int], *, user: str) -> Mapping[str, Report]:
        side = self._side(user)
        pairs = list(offsets.items())
        reports: dict[str, Report] = {}
        for start in range(0, len(pairs), RUNS_PER_CALL):
            part = pairs[start : start + RUNS_PER_CALL]
            words = ["{nonce}", *(word for run_id, offset in part for word in (run_id, str(offset)))]
            opened = await call(self._link, side, "collect", *words, purpose=Purpose.CONTROL)
            frames = await opened.rest()
            for run_id in {frame.text("id"): None for frame in frames}:
                own = [frame for frame in frames if frame.text("id") == run_id]
                reports[run_id] = _report(own, self._link.address)
        if reports.keys() != offsets.keys():
            raise LostContact(f"{self._link.address} answered for other runs than it was asked about")
        return reports

    async def acknowledge(self, run_ids: Sequence[str], *, user: str) -> None:
        side = self._side(user)
        for start in range(0, len(run_ids), RUNS_PER_CALL):
            part = run_ids[start : start + RUNS_PER_CALL]
            opened = await call(self._link, side, "ack", "{nonce}", *part, purpose=Purpose.CONTROL)
            await opened.rest()

    async def boot(self) -> Boot:
        opened = await call(self._link, Side.LOGIN, "ping", "{nonce}", purpose=Purpose.CONTROL)
        try:
            last = (await opened.rest())[-1]
            return Boot(id=last.boot_id, up_ms=10 * last.number("now_cs"))
        except Garbled as error:
            raise _nonsense(self._link.address, error) from error

    async def zone(self) -> str:
        opened = await call(self._link, Side.LOGIN, "ping", "{nonce}", purpose=Purpose.CONTROL)
        return zone_said((await opened.rest())[-1].text("zone"))

    async def sweep(self, retention_days: int) -> None:
        sides = [Side.LOGIN] if self.facts.uid == 0 or not self.facts.sudo else [Side.LOGIN, Side.ROOT]
        for side in sides:
            words = ("{nonce}", str(retention_days))
            await (await call(self._link, side, "gc", *words, purpose=Purpose.CONTROL)).rest()

    async def _attach(self, run_id: str, user: str, opened: Call) -> "RemoteAttachment":
        try:
            frame = await opened.next()
            greeting = Greeting(state=frame.state, boot_id=frame.boot_id)
        except BaseException as error:
            opened.close()
            if isinstance(error, Garbled):
                raise _nonsense(self._link.address, error) from error
            raise
        return RemoteAttachment(self, run_id, user, opened, greeting, more=frame.more)

    def user_to_become(self, user: str) -> str:
        """Whom the helper must switch to for a run as `user`; empty if it is that user already."""
        return user if self.facts.uid == 0 or self._side(user) is Side.ROOT else ""

    def _side(self, user: str) -> Side:
        facts = self.facts
        if facts.uid == 0 or (user in ("", facts.user) and not (user == "" and facts.sudo)):
            return Side.LOGIN
        if facts.sudo:
            return Side.ROOT
        raise RunFailed(
            RunStatus.INVALID,
            ErrorCode.USER_OR_PASSWORD_INVALID,
            f"{self._link.address} is reached as {facts.user}, who may not use sudo without a password:"
            f" cannot run as {user}. Allow it, or register the instance with that user",
        )


class RemoteAttachment:
    """One channel to one run: `launch` with its payload to come, or `follow`."""

    def __init__(
        self, host: RemoteHost, run_id: str, user: str, opened: Call, greeting: Greeting, *, more: bool
    ) -> None:
        self.greeting = greeting
        self._host, self._run_id, self._user, self._call = host, run_id, user, opened
        self._streams = more and greeting.state not in FRESH
        self._begun = False
        self._ended = False

    async def begin(self, payload: Payload) -> None:
        """See the port. A channel's window holds any script, so this waits for no answer."""
        if self._begun or self.greeting.state not in FRESH:
            raise ValueError(f"a run greeted as {self.greeting.state} is not begun again; follow it")
        self._begun = True
        content = encode(payload, user=self._host.user_to_become(payload.user))
        try:
            async with asyncio.timeout(self._call.upload_s):
                with contextlib.suppress(
                    LostContact
                ):  # the helper's reason, or the loss itself, is read next
                    await self._call.channel.write(content)
        except TimeoutError as error:
            raise LostContact(
                f"{self._call.address} did not take the script within {self._call.upload_s:g} s"
            ) from error
        self._streams = True

    async def events(self) -> AsyncIterator[Event]:
        """See the port. Without a stream (not begun, or the greeting said it all) there are none."""
        address = self._call.address
        while self._streams:
            frame = await self._call.next()
            try:
                self._streams = frame.more
                self._ended = not frame.more and frame.state is HostState.DONE
                for event in _events(frame):
                    yield event
            except Garbled as error:
                raise _nonsense(address, error) from error
            if not frame.more and frame.state is not HostState.DONE:
                raise LostContact(f"{address} stopped following {self._run_id}; it goes on there")

    async def acknowledge(self) -> None:
        """On the channel that brought the end, which costs the host nothing; else by a call of its own.

        If the channel is gone meanwhile, the host's sweep removes what is left.
        """
        if not self._ended:
            await self._host.acknowledge([self._run_id], user=self._user)
            return
        with contextlib.suppress(LostContact):
            await self._call.channel.write(b"ack\n")

    async def close(self) -> None:
        self._streams = False
        self._call.close()


def _events(frame: Frame) -> list[Event]:
    events: list[Event] = []
    if frame.flag("started"):
        events.append(Started(ago_ms=frame.ago_ms("start_cs")))
    if frame.data:
        events.append(Output(offset=frame.number("from"), data=frame.data))
    if not frame.more and frame.state is HostState.DONE:
        events.append(Ended(result=_result(frame)))
    return events


def _report(frames: Sequence[Frame], address: str) -> Report:
    last = frames[-1]
    try:
        done = last.state is HostState.DONE
        outputs = [Output(offset=frame.number("from"), data=frame.data) for frame in frames if frame.data]
        result = _result(last) if done else None
        return Report(state=last.state, boot_id=last.boot_id, output=outputs, result=result)
    except Garbled as error:
        raise _nonsense(address, error) from error


def _result(frame: Frame) -> HostResult:
    said = frame.text("result")
    word, _, signal = said.partition("-")
    try:
        known = HostWord(word)
    except ValueError:
        raise Garbled("result= is none that we know") from None
    started = frame.text("start_cs") not in ("", "0", "-")
    return HostResult(
        word=known,
        code=_shown(frame, "code") or signal,
        detail=_shown(frame, "detail"),
        exit_code=frame.number("exit") if _shown(frame, "exit") else None,
        total_bytes=frame.number("total", 0),
        dropped_bytes=frame.number("dropped", 0),
        started_ago_ms=frame.ago_ms("start_cs") if started else None,
        ended_ago_ms=frame.ago_ms("end_cs") if _shown(frame, "end_cs") else 0,
        unkilled=frame.flag("unkilled"),
    )


def _shown(frame: Frame, key: str) -> str:
    """A value; the helper writes `-` for none."""
    value = frame.text(key)
    return "" if value == "-" else value


def _nonsense(address: str, error: Garbled) -> LostContact:
    return LostContact(f"{address} answers what is not our protocol: {error}")
