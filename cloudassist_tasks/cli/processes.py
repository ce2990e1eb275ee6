"""The command lines of the processes that make an installation: worker, beat, Flower.

`cloudassist worker`, `beat` and `flower` become them; `cloudassist up` starts them as children. They are
started as `python -m celery …`, so that nothing here imports Celery.
"""

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import cloudassist_tasks
from cloudassist_tasks.config import Settings, environment_of
from cloudassist_tasks.domain.errors import Kind, Refused

__all__ = [
    "FLOWER_PORT",
    "POOLS",
    "Start",
    "beat_command",
    "become",
    "endpoint_command",
    "flower_command",
    "worker_command",
]

POOLS = {"asyncio": "custom", "threads": "threads", "prefork": "prefork"}
"""Our names of the pools, and Celery's."""

DEFAULT_CONCURRENCY = {"threads": 50, "prefork": 2 * (os.cpu_count() or 1)}
"""Runs at once where neither the option nor, for asyncio, the settings say."""

FLOWER_PORT = 5555

DESCRIPTOR = "CLOUDASSIST_ENDPOINT_DESCRIPTOR"
"""Tells the endpoint's process of the socket that it inherits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How to start a process: its arguments, and what its environment has more than ours."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path
    """Where it runs. Celery imports from there first: it must not be where a user keeps files."""
    descriptors: tuple[int, ...] = ()
    """What it inherits beside the standard streams."""

    def environ(self) -> dict[str, str]:
        """The whole environment."""
        return {**os.environ, **self.environment}


def worker_command(
    settings: Settings,
    pool: str | None = None,
    concurrency: int | None = None,
    queues: str | None = None,
    name: str | None = None,
) -> Start:
    """A worker. Left out: pool and concurrency of the settings, all queues, a name by host and process."""
    pool = pool or settings.pool
    if pool not in POOLS:
        raise Refused(Kind.BAD_SETTING, f"there is no pool {pool!r}; take one of {', '.join(POOLS)}")
    at_once = concurrency or (settings.concurrency if pool == "asyncio" else DEFAULT_CONCURRENCY[pool])
    options = [f"--pool={POOLS[pool]}", f"--concurrency={at_once}", f"--loglevel={settings.log_level}"]
    options += [f"--hostname={name or f'worker-{os.getpid()}@%h'}", "--without-gossip", "--without-mingle"]
    if queues:
        options.append(f"--queues={queues}")
    custom = {"CELERY_CUSTOM_WORKER_POOL": "workers.pools:AsyncioPool"} if pool == "asyncio" else {}
    return _celery(settings, "workers.app", "worker", *options, more={**custom, "CLOUDASSIST_POOL": pool})


def beat_command(settings: Settings) -> Start:
    """A scheduler process; any number may run at once."""
    return _celery(settings, "beat.app", "beat", f"--loglevel={settings.log_level}", "--pidfile=")


def flower_command(settings: Settings, *, port: int, user: str, password: str, address: str) -> Start:
    """Flower behind a password, which stands in its environment: arguments are seen by every user."""
    return _celery(
        settings,
        "workers.app",
        "flower",
        f"--address={address}",
        f"--port={port}",
        more={"FLOWER_BASIC_AUTH": f"{user}:{password}"},
    )


def endpoint_command(settings: Settings, listener: int) -> Start:
    """The HTTP endpoint, on the socket with this descriptor."""
    directory = settings.data_dir
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Start(
        argv=(sys.executable, "-m", "cloudassist_tasks.cli", "serve"),
        environment={**environment_of(settings), **_import_path(), DESCRIPTOR: str(listener)},
        directory=directory,
        descriptors=(listener,),
    )


def become(start: Start) -> NoReturn:
    """Turn this process into that one."""
    os.chdir(start.directory)
    os.execvpe(start.argv[0], start.argv, start.environ())


def _celery(settings: Settings, app: str, *arguments: str, more: Mapping[str, str] | None = None) -> Start:
    directory = settings.data_dir
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Start(
        argv=(sys.executable, "-m", "celery", "-A", app, *arguments),
        environment={**environment_of(settings), **_import_path(), **(more or {})},
        directory=directory,
    )


def _import_path() -> dict[str, str]:
    """Where this package and the worker's come from, for a checkout that is not installed."""
    root = str(Path(cloudassist_tasks.__file__).parent.parent)
    if root == sysconfig.get_path("purelib"):
        return {}
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != root]
    return {"PYTHONPATH": os.pathsep.join([root, *given])}
