"""A host for each test: under dash alone, or (`host_of_any_shell`) under dash, bash and busybox."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.remote import Host, busybox_applets, prepared


@pytest.fixture(scope="session")
def busybox_path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ca-applets-") as directory:
        Path(directory).chmod(0o755)
        yield busybox_applets(Path(directory) / "applets")


@pytest.fixture
def host() -> Iterator[Host]:
    """Under dash: for what does not depend on the shell."""
    with prepared("dash") as it:
        yield it


@pytest.fixture(params=["dash", "bash", "busybox"])
def host_of_any_shell(request: pytest.FixtureRequest, busybox_path: str) -> Iterator[Host]:
    if request.param == "busybox":
        with prepared("busybox sh", path=busybox_path) as it:
            yield it
    else:
        with prepared(request.param) as it:
            yield it
