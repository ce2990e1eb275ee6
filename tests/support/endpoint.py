"""A real `cloudassist serve` for a test: a process of its own, on a free loopback port.

    from tests.support.endpoint import endpoint_alone  # noqa: F401
    from tests.support.endpoint import served_installation  # noqa: F401
    from tests.support.installation import installation  # noqa: F401

Two fixtures, one process each per module:

`endpoint_alone` is an `Endpoint` on a store of its own, without a worker: for what is refused, opened or
listed. `served_installation` is an `Endpoint` in front of `installation` (a worker and an sshd; register
machines with `served_installation.installation.add("i-1", "i-2")`).

Both have `url`, `host`, `port`, `key` (an admin's `AccessKey` with `id` and `secret`), `new_key(role=…)` for
others, `client` (the in-process client of the same installation) and `log_text()`. `served(environment)` is
the same as a context manager, over any installation that `environment` selects.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest

from cloudassist_tasks import runtime
from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.keys import CreateAccessKey
from tests.support.eventually import eventually
from tests.support.installation import Installation, environment, installation
from tests.support.valkey import private_valkey

__all__ = ["AccessKey", "Endpoint", "endpoint_alone", "installation", "served", "served_installation"]

ROOT = Path(__file__).parent.parent.parent
LISTENING = "listening on "


@dataclass(frozen=True, slots=True)
class AccessKey:
    id: str
    secret: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A running endpoint."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    client: Client
    """In process, of the same installation."""
    key: AccessKey
    """An admin's."""
    installation: Installation | None = None
    """What is behind it, if a worker is."""

    @property
    def host(self) -> str:
        return str(urlsplit(self.url).hostname)

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def new_key(self, role: str = "operator", **fields: object) -> AccessKey:
        """Another access key; `fields` of `CreateAccessKey`."""
        return _new_key(self.client, role, **fields)

    def log_text(self) -> str:
        """What the process has written so far: its URL, then JSON lines."""
        return self.log.read_text(errors="replace")


@pytest.fixture(scope="module")
def endpoint_alone() -> Iterator[Endpoint]:
    """An endpoint on a store of its own; nobody carries anything out."""
    with private_valkey() as server, tempfile.TemporaryDirectory(prefix="endpoint-") as folder:
        variables = environment(server, Path(folder))
        with patch.dict(os.environ, variables), Client() as client, served(variables, client) as endpoint:
            yield endpoint
        runtime.close()


@pytest.fixture(scope="module")
def served_installation(installation: Installation) -> Iterator[Endpoint]:
    """An endpoint in front of an installation with a worker and an sshd."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("CLOUDASSIST_")}
    with served(variables, installation.client) as endpoint:
        endpoint.installation = installation
        yield endpoint


@contextmanager
def served(
    variables: Mapping[str, str], client: Client, options: Sequence[str] = (), *, port: int = 0
) -> Iterator[Endpoint]:
    """`cloudassist serve` with these variables and options; `client` makes its first key."""
    with tempfile.TemporaryDirectory(prefix="endpoint-") as folder:
        log = Path(folder) / "serve.log"
        command = [sys.executable, "-m", "cloudassist_tasks.cli", "serve", "--port", str(port), *options]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **variables},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            eventually(lambda: LISTENING in log.read_text() or process.poll() is not None, within=120)
            if process.poll() is not None:
                raise RuntimeError(f"serve ended with {process.returncode}:\n{log.read_text()}")
            url = log.read_text().partition(LISTENING)[2].split()[0]
            key = _new_key(client, "admin")
            yield Endpoint(url=url, process=process, log=log, client=client, key=key)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=120)
            print(f"--- serve ---\n{log.read_text(errors='replace')[-8_000:]}")


def _new_key(client: Client, role: str, **fields: object) -> AccessKey:
    made = client.send(CreateAccessKey(role=role, **fields))  # type: ignore[arg-type]
    return AccessKey(made.access_key_id, made.access_key_secret)
