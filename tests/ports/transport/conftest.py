"""The same tests over asyncssh, paramiko and this machine itself."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.ports.transport.ways import Way, transports
from tests.support.sshd import Sshd, private_sshd, sshd

__all__ = ["sshd"]


@pytest.fixture(params=["asyncssh", "paramiko", "local"])
async def way(request: pytest.FixtureRequest, sshd: Sshd) -> AsyncIterator[Way]:
    """Each way in turn."""
    made = Way(request.param, sshd, transports(request.param))
    yield made
    await made.transports.close()


@pytest.fixture(params=["asyncssh", "paramiko"])
async def ssh(request: pytest.FixtureRequest, sshd: Sshd) -> AsyncIterator[Way]:
    """Each SSH engine in turn."""
    made = Way(request.param, sshd, transports(request.param))
    yield made
    await made.transports.close()


@pytest.fixture
def own_sshd() -> Iterator[Sshd]:
    """An sshd for one test, which may stop it."""
    with private_sshd() as server:
        yield server
        print(f"sshd's log:\n{server.log_tail()}")
