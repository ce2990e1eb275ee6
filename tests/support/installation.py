"""A whole installation for a test: a real store and broker, a control plane on them, a real worker process.

    from tests.support.installation import installation, plane  # noqa: F401

`plane` is the control plane on an empty store, without a worker: for what is refused, opened or listed.
`installation` (one per module) has a worker process with the asyncio pool and a private sshd; its
environment, put into `os.environ`, makes `Client()` talk to it.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from cloudassist_tasks import config, runtime, wiring
from cloudassist_tasks.cli.processes import worker_command
from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.extensions import AddInstances, InstanceRegistration
from cloudassist_tasks.engine.plane import Plane
from tests.support.eventually import eventually
from tests.support.sshd import Sshd, private_sshd
from tests.support.store import store_server
from tests.support.valkey import ValkeyServer, private_valkey

__all__ = ["Installation", "installation", "plane", "registration", "store_server"]


@pytest.fixture
async def plane(store_server: ValkeyServer, tmp_path: Path) -> AsyncIterator[Plane]:
    """A control plane on an empty store; nobody carries anything out."""
    store_server.client().flushall()
    settings = config.load(environment(store_server, tmp_path))
    opened = await wiring.open_plane(settings, wiring.find_servers(settings))
    yield opened
    await opened.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    client: Client
    sshd: Sshd
    server: ValkeyServer
    worker: subprocess.Popen[bytes]

    def add(self, *ids: str, **changes: object) -> list[str]:
        """Register instances on the sshd, each at a loopback address of its own; their ids."""
        added = [
            registration(self.sshd, instance_id, host=f"127.0.1.{number}", **changes)
            for number, instance_id in enumerate(ids, start=1)
        ]
        self.client.send(AddInstances(instances=added, replace=True))
        return list(ids)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """Store, broker, sshd and one worker process; all gone at the end."""
    with private_valkey() as server, private_sshd() as sshd, tempfile.TemporaryDirectory() as folder:
        variables = environment(server, Path(folder))
        with patch.dict(os.environ, variables), Client() as client:
            worker = _started_worker(Path(folder))
            try:
                yield Installation(client=client, sshd=sshd, server=server, worker=worker)
            finally:
                worker.send_signal(signal.SIGTERM)
                worker.wait(timeout=120)
        runtime.close()


def environment(server: ValkeyServer, data_dir: Path) -> Mapping[str, str]:
    """What selects the installation."""
    return {
        "CLOUDASSIST_DATA_DIR": str(data_dir),
        "CLOUDASSIST_REDIS_URL": server.url(0),
        "CLOUDASSIST_BROKER_URL": server.broker_url(1),
    }


def registration(
    sshd: Sshd, instance_id: str, host: str = "127.0.0.1", **changes: object
) -> InstanceRegistration:
    """An instance on this sshd, as its owner registers it."""
    fields: dict[str, object] = {
        "instance_id": instance_id,
        "host": host,
        "port": sshd.port,
        "identity": sshd.identity,
        "host_key": sshd.host_key,
        "remote_base": str(sshd.base),
        **changes,
    }
    return InstanceRegistration(**fields)  # type: ignore[arg-type]  # tests name what they are about


def _started_worker(folder: Path) -> subprocess.Popen[bytes]:
    """A worker process that has registered."""
    settings = config.load()
    start = worker_command(settings)
    log = (folder / "worker.log").open("wb")
    process = subprocess.Popen(start.argv, env=start.environ(), cwd=start.directory, stdout=log, stderr=log)
    eventually(lambda: _said(folder / "worker.log", process, b" ready."), within=120)
    return process


def _said(log: Path, process: subprocess.Popen[bytes], word: bytes) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the worker ended with {process.returncode}:\n{log.read_text()[-4000:]}")
    return word in log.read_bytes()
