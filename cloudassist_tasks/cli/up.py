"""`cloudassist up`: a whole installation in one process tree.

A parent that starts store, workers, beat, Flower and the endpoint, keeps them running, says `ready` when a
run would work, and leaves nothing running: children are drained first, the embedded store ends last.
"""

import fcntl
import http.client
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cloudassist_tasks import config, runtime
from cloudassist_tasks.api.listening import bound, url_of
from cloudassist_tasks.cli.endpoint import ENDPOINT_ADDRESS, ENDPOINT_PORT, Address
from cloudassist_tasks.cli.processes import (
    FLOWER_PORT,
    Start,
    beat_command,
    endpoint_command,
    flower_command,
    worker_command,
)
from cloudassist_tasks.cli.render import line, note
from cloudassist_tasks.cli.serve import FLOWER_USER, Concurrency, Pool, flower_password
from cloudassist_tasks.cli.session import live_workers
from cloudassist_tasks.cli.store_keeping import StoreKeeping
from cloudassist_tasks.cli.supervisor import Child, Supervisor
from cloudassist_tasks.config import Settings
from cloudassist_tasks.domain.errors import Broken, Kind, Refused
from cloudassist_tasks.engine.plane import Plane


def up(
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, help="Worker processes.")] = 1,
    pool: Pool = None,
    concurrency: Concurrency = None,
    no_flower: Annotated[bool, typer.Option("--no-flower", help="Without Flower.")] = False,
    flower_port: Annotated[
        int, typer.Option("--flower-port", min=0, max=65_535, help="0: any free one.")
    ] = FLOWER_PORT,
    no_endpoint: Annotated[bool, typer.Option("--no-endpoint", help="Without the HTTP endpoint.")] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Of the endpoint; 0: any free one.")
    ] = ENDPOINT_PORT,
    address: Address = ENDPOINT_ADDRESS,
    no_local: Annotated[
        bool, typer.Option("--no-local", help="Do not let instances of kind --local use this machine.")
    ] = False,
) -> None:
    """Start everything: store, worker, beat, Flower and the HTTP endpoint; prints `ready` when a run would
    work.

    Ctrl-C or SIGTERM ends all of it in order. Scripts that run on instances go on there and are followed
    again at the next start.
    """
    settings = config.load()
    settings = replace(settings, allow_local=not no_local)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(settings.data_dir), _sigterm_as_interrupt():
        from cloudassist_tasks import wiring  # loads celery and the adapters: not for `--help`

        note(f"data directory: {settings.data_dir}")
        servers = wiring.find_servers(settings)
        try:
            plane = runtime.await_(wiring.open_plane(settings, servers))
            try:
                children = _worker_children(settings, workers, pool, concurrency)
                children += [_child(settings, "beat", beat_command(settings))]
                if not no_flower:
                    children.append(_flower_child(settings, flower_port))
                listener = None if no_endpoint else _listener(address, port)
                if listener is not None:
                    children.append(
                        _child(settings, "endpoint", endpoint_command(settings, listener.fileno()))
                    )
                if not no_local:
                    note("instances of kind --local may use this machine; --no-local turns that off")
                store = StoreKeeping(servers.revive, settings.data_dir / "store" / "valkey.log", told)
                ready = _Ready(plane, children, listener)
                Supervisor(children=children, say=told).run((store.look, ready.look))
                note("ended; nothing is left running")
            finally:
                runtime.await_(plane.close())
        finally:
            runtime.close()
            servers.release()


def told(text: str) -> None:
    """A note, if there is room for it: standard error may go to a file on the disk that is full."""
    try:
        note(text)
    except BrokenPipeError:
        raise
    except OSError:
        pass


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """One `up` for a data directory. The lock ends with the process, however that ends."""
    path = data_dir / "up.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Refused(
                Kind.BAD_SETTING,
                f"another `cloudassist up` (pid {file.read().strip()}) runs on {data_dir};"
                " stop it, or choose another CLOUDASSIST_DATA_DIR",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Also while the store starts, SIGTERM leaves nothing behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _child(settings: Settings, name: str, start: Start) -> Child:
    return Child(name=name, start=start, log=settings.data_dir / "logs" / f"{name}.log")


def _worker_children(
    settings: Settings, number: int, pool: str | None, concurrency: int | None
) -> list[Child]:
    names = ["worker"] if number == 1 else [f"worker-{position}" for position in range(1, number + 1)]
    return [
        _child(
            settings,
            name,
            worker_command(settings, pool, concurrency, name=f"{name}-{os.getpid()}@%h"),
        )
        for name in names
    ]


def _flower_child(settings: Settings, port: int) -> Child:
    free = _free_port(port)
    if port and free != port:
        note(f"port {port} is taken; Flower listens on {free}")
    password = flower_password(settings.data_dir)
    note(f"Flower: http://127.0.0.1:{free}/ (user {FLOWER_USER}, password in flower.password)")
    start = flower_command(settings, port=free, user=FLOWER_USER, password=password, address="127.0.0.1")
    return _child(settings, "flower", start)


def _free_port(wanted: int) -> int:
    """That one, or another where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(listener.getsockname()[1])
    raise Refused(Kind.BAD_SETTING, "no port is free on 127.0.0.1; start without Flower: --no-flower")


def _listener(address: str, wanted: int) -> socket.socket:
    """The endpoint's socket, on that port or, where it is taken, on another. It is ours, so that calls wait
    in it while the endpoint is started again."""
    try:
        listener = bound(address, wanted)
    except Refused:
        listener = bound(address, 0)
        note(f"port {wanted} is taken; the endpoint listens on another")
    note(f"endpoint: {url_of(listener)} (make a key with `cloudassist key create`)")
    return listener


class _Ready:
    """Says `ready`, once: the store answers, each worker and the beat have registered and are alive, and the
    endpoint says that it is ready."""

    def __init__(
        self,
        plane: Plane,
        children: list[Child],
        listener: socket.socket | None,
    ) -> None:
        self.plane = plane
        self.children = [child for child in children if child.name not in ("flower", "endpoint")]
        self.listener = listener
        self.said = False

    def look(self) -> None:
        """Called every now and then."""
        if not self.said and all(child.pid for child in self.children):
            self.said = runtime.await_(self._all_are_there()) and (
                self.listener is None or _answers(self.listener)
            )
            if self.said:
                line("ready")

    async def _all_are_there(self) -> bool:
        try:
            await self.plane.store.ping()
            found = await live_workers(self.plane, "worker") + await live_workers(self.plane, "beat")
        except Broken:  # it may be starting
            return False
        groups = {_group_of(one.pid) for one in found}
        return all(child.pid in groups for child in self.children)


def _answers(listener: socket.socket) -> bool:
    """Whether the endpoint behind it is ready. Asked by hand: proxies have nothing to do with it."""
    address, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _group_of(pid: int) -> int:
    """A child and its own children are one process group; 0: it is gone, or on another machine."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
