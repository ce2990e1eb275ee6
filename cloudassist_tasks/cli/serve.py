"""`cloudassist worker`, `beat` and `flower`: become one of the processes that make an installation."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from cloudassist_tasks import config
from cloudassist_tasks.cli.processes import (
    FLOWER_PORT,
    beat_command,
    become,
    flower_command,
    worker_command,
)
from cloudassist_tasks.cli.render import note

__all__ = ["FLOWER_USER", "Concurrency", "Pool", "beat", "flower", "flower_password", "worker"]

FLOWER_USER = "admin"

Pool = Annotated[str | None, typer.Option("--pool", help="asyncio (default), threads or prefork.")]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", metavar="N", min=1, help="Runs that the process holds at once.")
]


def worker(
    pool: Pool = None,
    concurrency: Concurrency = None,
    queues: Annotated[
        str | None, typer.Option("--queues", metavar="Q,…", help="Serve these queues; default: all.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Its name among workers, as in `celery -n`: w1@%h.")
    ] = None,
) -> None:
    """Be a worker: connect to instances and carry out runs. Ctrl-C lets go of them; others go on."""
    become(worker_command(config.load(), pool, concurrency, queues, name))


def beat() -> None:
    """Be a beat: keep schedules, and settle what was left behind. Any number may run."""
    become(beat_command(config.load()))


def flower(
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Where it listens.")] = FLOWER_PORT,
    address: Annotated[str, typer.Option("--address", help="Where it listens.")] = "127.0.0.1",
) -> None:
    """Be Flower: show workers and tasks in a browser, behind a password."""
    settings = config.load()
    password = flower_password(settings.data_dir)
    become(flower_command(settings, port=port, user=FLOWER_USER, password=password, address=address))


def flower_password(data_dir: Path) -> str:
    """The password of this installation's Flower, made at the first use; only its owner can read it."""
    path = data_dir / "flower.password"
    if path.exists():
        return path.read_text().strip()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secrets.token_urlsafe(16)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password + "\n")
    note(f"Flower's user is {FLOWER_USER}, its password {password} (kept in {path})")
    return password
