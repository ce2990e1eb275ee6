"""The store's way to the server: commands, batches and scripts, each one round trip.

The only place that connects, authenticates, waits and tries again, and the only one that turns what can
go wrong into `Broken`: which server (never its password), what happened, what to do next. A lost
connection is made anew and the commands are sent again, once: every script bears that. Silence is not
tried again: the caller has waited enough.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.store.address import Address, address_of
from cloudassist_tasks.store.scripts import script
from cloudassist_tasks.store.wire import Command, Wire, WireBroken, WireSilent, Word, open_tcp, open_unix

CONNECT_WITHIN_S = 3.0
"""How long connecting and logging in may take."""

ANSWER_WITHIN_S = 5.0
"""How long a command may take. The longest script (opening 10,000 members) takes a hundredth of it."""

PAUSES_S = (0.0, 0.1, 0.4, 1.0)
"""Before each attempt to connect: a server that is restarted is back within a second or two."""


class StoreFull(Broken):
    """The server's memory is at its limit."""


class Link:
    """To one database. Belongs to the event loop that first used it."""

    def __init__(
        self,
        url: str,
        *,
        connect_within_s: float = CONNECT_WITHIN_S,
        answer_within_s: float = ANSWER_WITHIN_S,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self.address: Address = address_of(url)
        self.round_trips = 0
        """How many so far: commands that left together count once."""
        self._connect_within_s = connect_within_s
        self._answer_within_s = answer_within_s
        self._pauses_s = pauses_s
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[Wire] | None = None

    async def call(self, *words: Word) -> Any:
        """The reply to one command."""
        return (await self.batch([words]))[0]

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, in order. Not atomic."""
        replies = await self._sent(commands)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise self._refusal(reply)
        return replies

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """What the Lua script `name` answers; it is loaded where the server does not know it (any more)."""
        lua = script(name)
        command = ("EVALSHA", lua.sha, len(keys), *keys, *args)
        [reply] = await self._sent([command])
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            _, reply = await self._sent([("SCRIPT", "LOAD", lua.text), command])
        if isinstance(reply, hiredis.ReplyError):
            raise self._refusal(reply, name)
        return reply

    async def close(self) -> None:
        """End the connection; the next call makes a new one."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    # -- inside

    async def _sent(self, commands: Sequence[Command]) -> list[Any]:
        self.round_trips += 1
        try:
            return await self._once(commands)
        except WireSilent as error:
            raise self._broken(error) from error
        except WireBroken:
            pass
        try:
            return await self._once(commands)
        except WireBroken as error:
            raise self._broken(error) from error

    async def _once(self, commands: Sequence[Command]) -> list[Any]:
        wire = self._wire
        if wire is None or wire.broken is not None:
            wire = await self._connected()
        replies = [wire.send(command) for command in commands]
        if len(replies) == 1:
            return [await replies[0]]
        return await asyncio.gather(*replies)

    async def _connected(self) -> Wire:
        """All callers wait for the same attempts, and share their failure."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add_done_callback(_look_at)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Wire:
        failure: Exception | None = None
        for pause_s in self._pauses_s:
            await asyncio.sleep(pause_s)
            try:
                async with asyncio.timeout(self._connect_within_s):
                    self._wire = await self._opened()
                return self._wire
            except TimeoutError as error:
                silent = WireSilent(f"no answer within {self._connect_within_s:g} s")
                raise self._broken(silent) from error
            except (OSError, WireBroken) as error:
                failure = error
        assert failure is not None
        raise self._broken(failure) from failure

    async def _opened(self) -> Wire:
        address, within_s = self.address, self._answer_within_s
        if address.path:
            wire = await open_unix(address.path, within_s)
        else:
            wire = await open_tcp(address.host, address.port, address.tls, within_s)
        try:
            await self._log_in(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _log_in(self, wire: Wire) -> None:
        """Authenticate and choose the database. A server that is still loading counts as not there yet."""
        greetings: list[Command] = []
        if password := self.address.password.reveal():
            name = [self.address.username] if self.address.username else []
            greetings.append(("AUTH", *name, password))
        greetings.append(("SELECT", self.address.db))
        greetings.append(("CLIENT", "SETNAME", "cloudassist-store"))
        for reply in await asyncio.gather(*[wire.send(greeting) for greeting in greetings]):
            if isinstance(reply, hiredis.ReplyError):
                if str(reply).startswith(("LOADING", "MASTERDOWN")):
                    raise WireBroken(str(reply))
                raise self._refusal(reply)

    def _broken(self, error: Exception) -> Broken:
        return Broken(f"the store at {self.address} cannot be reached: {_said(error)}; is it up?")

    def _refusal(self, reply: Exception, what: str = "") -> Broken:
        text = str(reply)
        for beginning, make in _REFUSALS.items():
            if text.startswith(beginning):
                return make(f"the store at {self.address} ", text)
        return Broken(f"the store at {self.address} refused {what or 'a command'}: {text}")


def _look_at(connecting: "asyncio.Task[Wire]") -> None:
    """Its failure is news only to those who wait for it; they may have been cancelled."""
    if not connecting.cancelled():
        connecting.exception()


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _wrong_password(who: str, _: str) -> Broken:
    return Broken(f"{who}does not accept our name or password; check CLOUDASSIST_REDIS_URL")


def _needs_password(who: str, _: str) -> Broken:
    return Broken(f"{who}asks for a password; put it into CLOUDASSIST_REDIS_URL")


def _full(who: str, _: str) -> Broken:
    return StoreFull(f"{who}is out of memory; raise its maxmemory, or forget old invocations")


def _read_only(who: str, text: str) -> Broken:
    return Broken(f"{who}takes no writes ({text.split()[0]}); point CLOUDASSIST_REDIS_URL to the primary")


_REFUSALS: dict[str, Callable[[str, str], Broken]] = {
    "WRONGPASS": _wrong_password,
    "ERR AUTH": _wrong_password,
    "ERR invalid password": _wrong_password,
    "NOAUTH": _needs_password,
    "OOM": _full,
    "READONLY": _read_only,
}
