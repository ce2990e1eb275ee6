"""The real store's server, spoken to over one blocking socket: what is asked is answered before time goes on.

The scripts and commands are the product's own. Three things that the server would draw or measure by itself
follow from the seed instead: its time (TIME, and how long a turn lasts), the order of sets, and which members
SRANDMEMBER picks.
"""

import random
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import hiredis
from redis import exceptions

from cloudassist_tasks.domain.ids import RunKey, WorkerId
from cloudassist_tasks.store import keys, scripts
from cloudassist_tasks.store.scripts import script
from tests.simulation.trace import Trace
from tests.support.valkey import ValkeyServer, private_valkey

Words = list[bytes]

_DUE = keys.DUE_SCHEDULES.encode()
FOR_EVER_MS = b"1000000000"
_SCRIPTS = Path(scripts.__file__).parent / "lua"


class Servers(AbstractContextManager["Servers"]):
    """A private server that many simulations use, one after the other."""

    def __init__(self) -> None:
        self._running = private_valkey()
        self.valkey: ValkeyServer
        self.socket: socket.socket
        self.heard: socket.socket

    def __enter__(self) -> Self:
        self.valkey = self._running.__enter__()
        client = self.valkey.client()
        client.config_set("appendonly", "no")
        client.config_set("set-max-listpack-entries", 512)  # small sets keep the order they were filled in
        client.config_set("hash-max-listpack-value", 4_096)
        client.close()
        self.socket, self.heard = self._connected(), self._connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.socket.close()
        self.heard.close()
        self._running.__exit__(kind, error, where)

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self.valkey.socket))
        return connection


class Server:
    """For one simulation: emptied first. `now_ms` is what TIME answers."""

    def __init__(
        self, servers: Servers, now_ms: Callable[[], int], chance: random.Random, trace: Trace
    ) -> None:
        self._socket, self._heard = servers.socket, servers.heard
        self._now_ms = now_ms
        self._chance = chance
        self._trace = trace
        self._reader = hiredis.Reader(replyError=_refusal)
        self._stops = hiredis.Reader()
        self._turns: dict[bytes, int] = {}
        self._names = {script(file.stem).sha.encode(): file.stem for file in _SCRIPTS.glob("*.lua")}
        self.on_stops: Callable[[Sequence[tuple[WorkerId, RunKey]]], None] = lambda _: None
        """Told of each run that its worker is to stop, as pub/sub would tell it."""
        self.on_step: Callable[[str, str], None] = lambda who, what: None
        """Told of each step that was carried out, before its answer is on the way."""
        self.looks_ms: list[int] = []
        """When a beat looked for schedules that are due."""
        self.calls = 0
        self.ask("FLUSHALL")
        self.ask("SCRIPT", "FLUSH")
        self._subscribe()

    def _subscribe(self) -> None:
        for words in (("PUNSUBSCRIBE",), ("PSUBSCRIBE", f"{keys.STOPS}*")):
            self._heard.sendall(_packed(words))
            self._read(self._heard, self._stops)

    def ask(self, *words: str | bytes | int | float) -> Any:
        """A command of the simulation's own: not traced, no simulated network."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: Iterable[Sequence[str | bytes | int | float]]) -> list[Any]:
        """Several of them, in one round trip."""
        packed = [_packed(words) for words in commands]
        if not packed:
            return []
        self._socket.sendall(b"".join(packed))
        return [self._read(self._socket, self._reader) for _ in packed]

    def execute(self, who: str, packed: bytes) -> list[Any]:
        """The replies to commands as a connection of the product's sent them; refusals are values."""
        return [self._one(who, words) for words in _commands(packed)]

    def _one(self, who: str, words: Words) -> Any:
        self.calls += 1
        name = words[0].upper()
        what = self._names.get(words[1], "EVALSHA") if name == b"EVALSHA" else name.decode()
        if what == "TIME":
            now_ms = self._now_ms()
            return [b"%d" % (now_ms // 1_000), b"%d" % (now_ms % 1_000 * 1_000)]
        reply = self._answered(what, words)
        self._tell(who, what, words, reply)
        if what == "ZRANGE" and words[1] == _DUE and len(words) > 5:
            self.looks_ms.append(self._now_ms())
        self.on_step(who, what)
        if what == "stop_runs" and isinstance(reply, list) and reply[2]:
            self.on_stops([self._next_stop() for _ in reply[2]])
        return reply

    def _answered(self, what: str, words: Words) -> Any:
        match what:
            case "take_turn":
                return self._turn(words)
            case "SRANDMEMBER":
                members = sorted(self.ask("SMEMBERS", words[1]))
                many = int(words[2])
                return members if len(members) <= many else self._chance.sample(members, many)
            case "SMEMBERS" | "beat_worker":
                reply = self.ask(*words)
                return sorted(reply) if isinstance(reply, list) else reply
            case _:
                return self.ask(*words)

    def _turn(self, words: Words) -> Any:
        """SET … NX PX by virtual time."""
        key, for_ms, now_ms = words[3], int(words[4]), self._now_ms()
        if self._turns.get(key, now_ms) <= now_ms:
            self.ask("DEL", key)
        reply = self.ask(*words[:4], FOR_EVER_MS)
        if reply == 1:
            self._turns[key] = now_ms + for_ms
        return reply

    def _next_stop(self) -> tuple[WorkerId, RunKey]:
        _, _, channel, run_id = self._read(self._heard, self._stops)
        worker = channel.decode().removeprefix(keys.STOPS)
        return WorkerId(worker), RunKey.parse(run_id.decode())

    def _tell(self, who: str, what: str, words: Words, reply: Any) -> None:
        if what in ("INFO", "SCRIPT"):
            self._trace.note(who, what)
        elif words[0] == b"EVALSHA":
            arguments = words[3 + int(words[2]) :]
            self._trace.note(who, what, *(_shown(word) for word in arguments[:9]), "->", _shown(reply))
        else:
            self._trace.note(who, what, *(_shown(word) for word in words[1:4]), "->", _shown(reply))

    def _read(self, connection: socket.socket, reader: hiredis.Reader) -> Any:
        while (reply := reader.gets()) is False:
            data = connection.recv(1 << 20)
            if not data:
                raise ConnectionError("the store's server has ended")
            reader.feed(data)
        return reply


def _packed(words: Sequence[str | bytes | int | float]) -> bytes:
    packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]
    return packed


def _commands(packed: bytes) -> list[Words]:
    """A request has the shape of a reply: an array of texts."""
    reader = hiredis.Reader()
    reader.feed(packed)
    found: list[Words] = []
    while (words := reader.gets()) is not False:
        found.append(words)
    return found


def _refusal(text: str) -> exceptions.ResponseError:
    kind = exceptions.NoScriptError if text.startswith("NOSCRIPT") else exceptions.ResponseError
    return kind(text)


def _shown(value: Any, depth: int = 0) -> str:
    """Short; not all of a large reply."""
    match value:
        case bytes():
            return value[:90].decode(errors="replace")
        case list():
            inner = [_shown(each, depth + 1) for each in value[:12]]
            return f"[{','.join(inner)}{'…' if len(value) > 12 else ''}]"
        case _:
            return str(value)
