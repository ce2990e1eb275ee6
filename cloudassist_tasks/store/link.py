"""The store's way to the server: commands, batches and scripts, each one round trip.

The only place that waits and tries again, and the only one that turns what can go wrong into `Broken`:
which server (never its password), what happened, what to do next. A lost connection is made anew and
the commands are sent again, once: every script bears that. Silence is not tried again: the caller has
waited enough.

redis-py connects, authenticates and speaks. What is asked in one turn of the loop leaves together on one
of its connections: 11 µs of processor time per command, where one connection taken from the pool for each
costs 67 (and redis-py's own `execute_command` 105). A caller never holds a connection, so one that is
cancelled leaves nothing behind in it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from cloudassist_tasks import awake
from cloudassist_tasks.domain.errors import Broken, StoreFull
from cloudassist_tasks.ports.store import MAKE_ROOM
from cloudassist_tasks.store.address import Address, address_of, pool_of
from cloudassist_tasks.store.scripts import script

Word = str | bytes | int | float
Command = Sequence[Word]

CONNECT_WITHIN_S = 3.0
"""How long connecting and logging in may take."""

ANSWER_WITHIN_S = 5.0
"""How long commands that left together may take. The longest script (opening 10,000 members) takes a
hundredth of it."""

PAUSES_S = (0.0, 0.1, 0.4, 1.0)
"""Before each further attempt: a server that is restarted is back within a second or two."""

MAX_CONNECTIONS = 8
"""How many carry at once. The server takes one command at a time, so more would only be more sockets; one
alone would make each command wait for the disk with those before it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Commands of one caller, which waits for their replies."""

    packed: bytes
    commands: int
    replies: asyncio.Future[list[Any]]
    """A `ResponseError` among them is a value."""


class Link:
    """To one database. Belongs to the event loop that first used it."""

    def __init__(
        self,
        url: str,
        *,
        connect_within_s: float = CONNECT_WITHIN_S,
        answer_within_s: float = ANSWER_WITHIN_S,
        pauses_s: Sequence[float] = PAUSES_S,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.address: Address = address_of(url)
        self.round_trips = 0
        """How many so far, as callers see them: commands of one batch count once."""
        self._connect_within_s = connect_within_s
        self._answer_within_s = answer_within_s
        self._pauses_s = pauses_s
        self._max_connections = max_connections
        self._pool = pool_of(
            url,
            max_connections=max_connections,
            socket_connect_timeout=connect_within_s,
            socket_timeout=None,  # one deadline holds for all that leaves together: see `_exchange`
            client_name="cloudassist-store",
        )
        self._waiting: list[_Asked] = []
        self._carriers: set[asyncio.Task[None]] = set()

    async def call(self, *words: Word) -> Any:
        """The reply to one command."""
        return (await self.batch([words]))[0]

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, in order. Not atomic."""
        replies = await self._ask(commands)
        for reply in replies:
            if isinstance(reply, exceptions.ResponseError):
                raise self._refusal(reply)
        return replies

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Word]) -> Any:
        """What the Lua script `name` answers; it is loaded where the server does not know it (any more)."""
        return (await self.scripts(name, [(keys, args)]))[0]

    async def scripts(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Word]]]) -> list[Any]:
        """The same with each of these keys and arguments, in one round trip. Not atomic."""
        lua = script(name)
        commands = [("EVALSHA", lua.sha, len(keys), *keys, *args) for keys, args in calls]
        replies = await self._ask(commands)
        unknown = [n for n, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]
        if unknown:
            _, *again = await self._ask([("SCRIPT", "LOAD", lua.text), *(commands[n] for n in unknown)])
            for n, reply in zip(unknown, again, strict=True):
                replies[n] = reply
        for reply in replies:
            if isinstance(reply, exceptions.ResponseError):
                raise self._refusal(reply, name)
        return replies

    async def close(self) -> None:
        """End all connections; the next call makes a new one. Callers that still wait are told so."""
        carriers = list(self._carriers)
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)
        _fail(self._taken(), self._closed())  # theirs that had not begun
        await self._pool.aclose()

    # -- inside

    def _ask(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        self.round_trips += 1
        loop = asyncio.get_running_loop()
        packed = b"".join([hiredis.pack_command(tuple(command)) for command in commands])  # type: ignore[arg-type]
        asked = _Asked(packed, len(commands), loop.create_future())
        self._waiting.append(asked)
        if len(self._waiting) == 1 and len(self._carriers) < self._max_connections:
            carrier = loop.create_task(self._carry())
            self._carriers.add(carrier)
            carrier.add_done_callback(self._carriers.discard)  # one that was cancelled before it began
        return asked.replies

    async def _carry(self) -> None:
        """Carry what waits until nothing does. Who waits meanwhile shares a failure: it is the server's."""
        asked: list[_Asked] = []
        try:
            while asked := self._taken():
                await self._carry_together(asked)
        except Exception as error:
            _fail([*asked, *self._taken()], error)
        except asyncio.CancelledError:
            _fail([*asked, *self._taken()], self._closed())
            raise
        finally:  # before anybody asks again: what waits always has a carrier
            self._carriers -= {asyncio.current_task()}

    def _taken(self) -> list[_Asked]:
        taken, self._waiting = self._waiting, []
        return _unanswered(taken)

    async def _carry_together(self, asked: list[_Asked]) -> None:
        """A server that is not there, or still loads, is waited for; a lost connection is made anew, once."""
        failure: Exception | None = None
        times_lost = 0
        for pause_s in (0.0, *self._pauses_s):
            if pause_s:
                await asyncio.sleep(pause_s)
            connected = False
            try:
                connection = await self._connected()
                connected = True
                await self._exchange(connection, _unanswered(asked))
                return
            except (TimeoutError, exceptions.TimeoutError) as error:
                within_s = self._answer_within_s if connected else self._connect_within_s
                raise self._broken(f"no answer within {within_s:g} s") from error
            except exceptions.RedisError as error:
                failure = _told(error)
                if not _may_pass(failure):
                    raise self._refusal(failure) from error
                times_lost += connected and not isinstance(failure, exceptions.BusyLoadingError)
                if times_lost == 2:
                    break
        assert failure is not None
        raise self._broken(_said(failure)) from failure

    async def _connected(self) -> AbstractConnection:
        async with awake.timeout(self._connect_within_s):
            connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        return connection

    async def _exchange(self, connection: AbstractConnection, asked: list[_Asked]) -> None:
        """Send all and hand out the replies. redis-py ends a connection on which this is interrupted."""
        try:
            async with awake.timeout(self._answer_within_s):
                await connection.send_packed_command([each.packed for each in asked], check_health=False)
                for each in asked:
                    replies = [await _reply(connection) for _ in range(each.commands)]
                    if not each.replies.done():  # its caller may have been cancelled
                        each.replies.set_result(replies)
        finally:
            await self._pool.release(connection)

    def _closed(self) -> Broken:
        return self._broken("we have closed the connection")

    def _broken(self, what: str) -> Broken:
        return Broken(f"the store at {self.address} cannot be reached: {what}; is it up?")

    def _refusal(self, error: Exception, what: str = "") -> Broken:
        who = f"the store at {self.address}"
        code = getattr(error, "status_code", None)
        match error:
            case exceptions.AuthenticationError() if code == "NOAUTH":
                return Broken(f"{who} asks for a password; put it into CLOUDASSIST_REDIS_URL")
            case exceptions.AuthenticationError():
                return Broken(f"{who} does not accept our name or password; check CLOUDASSIST_REDIS_URL")
            case exceptions.OutOfMemoryError():
                return StoreFull(f"{who} is out of memory; {MAKE_ROOM}")
            case exceptions.ReadOnlyError():
                return Broken(f"{who} takes no writes ({code}); point CLOUDASSIST_REDIS_URL to the primary")
            case exceptions.InvalidResponse():
                return self._broken(f"what answers does not speak the protocol ({error})")
            case _:
                return Broken(f"{who} refused {what or 'a command'}: {code + ' ' if code else ''}{error}")


async def _reply(connection: AbstractConnection) -> Any:
    """A refusal is a value: the replies after it are others'."""
    try:
        return await connection.read_response()
    except exceptions.ResponseError as refused:
        return refused


def _unanswered(asked: list[_Asked]) -> list[_Asked]:
    """Without those whose callers were cancelled."""
    return [each for each in asked if not each.replies.done()]


def _fail(asked: list[_Asked], error: Exception) -> None:
    for each in _unanswered(asked):
        each.replies.set_exception(error)


def _told(error: exceptions.RedisError) -> Exception:
    """What happened: on a unix socket, redis-py wraps what the server says to a login."""
    cause = error.__cause__
    return cause if isinstance(cause, exceptions.RedisError) else error


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may find it better: the server is not there, or not yet, or has hung up."""
    wrong_login = (exceptions.AuthenticationError, exceptions.AuthorizationError)
    return isinstance(error, exceptions.ConnectionError) and not isinstance(error, wrong_login)


def _said(error: Exception) -> str:
    """The system's own words, where redis-py puts others around them."""
    origin = error.__cause__ or error.__context__
    return getattr(origin, "strerror", None) or str(error).rstrip(".") or type(error).__name__
