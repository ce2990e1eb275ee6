"""The house rules that a machine can check: who imports whom, and what a light client loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.valkey import private_valkey

ROOT = Path(__file__).parents[2]

HEAVY = (
    "celery", "kombu", "redis", "asyncssh", "paramiko", "flower", "typer",
    "starlette", "uvicorn", "aiohttp", "cryptography",
)  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after the statement."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import cloudassist_tasks",
        "from cloudassist_tasks import Client, RunCommand",
        "from cloudassist_tasks import AsyncClient, Refused, StopInvocation",
        "from cloudassist_tasks import Client; Client('http://127.0.0.1:1', 'id:secret').close()",
    ],
)
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement).isdisjoint(HEAVY)


def test_the_names_of_the_operations_are_known_before_their_types_are_loaded() -> None:
    names = (
        "from cloudassist_tasks.contract.catalogue import OPERATIONS\nassert 'RunCommand' in set(OPERATIONS)"
    )
    last = "import sys\nassert 'cloudassist_tasks.contract.invocations' {} sys.modules"

    loaded_by(f"{names}\n{last.format('not in')}")
    loaded_by(f"{names}\nassert OPERATIONS['RunCommand'].action() == 'RunCommand'\n{last.format('in')}")


SERVERS_PARTS = frozenset(HEAVY) - {"typer"}


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["--version"], {"rich", "asyncio", "croniter", "pydantic"}),
        (["--help"], {"rich", "asyncio", "croniter"}),
        (["instance", "--help"], {"croniter"}),
        (["schedule", "next", "0 0 4 * * ?"], set()),
    ],
)
def test_a_command_that_sends_nothing_loads_no_server(words: list[str], more: set[str]) -> None:
    loaded = loaded_by(f"from cloudassist_tasks.cli.app import run_command; assert run_command({words}) == 0")

    assert loaded.isdisjoint(SERVERS_PARTS | more)


def test_a_command_that_lists_loads_neither_celery_nor_a_way_to_an_instance(tmp_path: Path) -> None:
    with private_valkey() as valkey:
        settings = {"CLOUDASSIST_REDIS_URL": valkey.url(0), "CLOUDASSIST_DATA_DIR": str(tmp_path)}
        listing = (
            f"import os; os.environ.update({settings})\n"
            "from cloudassist_tasks.cli.app import run_command\n"
            "assert run_command(['invocation', 'ls']) == 0"
        )

        loaded = loaded_by(listing)

    assert "redis" in loaded
    assert loaded.isdisjoint(SERVERS_PARTS - {"redis", "cryptography"})


def test_a_worker_has_loaded_every_operation_once_it_is_open(tmp_path: Path) -> None:
    with private_valkey() as valkey:
        settings = {"CLOUDASSIST_REDIS_URL": valkey.url(0), "CLOUDASSIST_DATA_DIR": str(tmp_path)}
        opening = (
            f"import os, sys; os.environ.update({settings})\n"
            "from cloudassist_tasks import runtime\n"
            "from cloudassist_tasks.operations.registry import HOMES\n"
            "from workers.app import process\n"
            "runtime.await_(process.worker())\n"
            "wanted = {f'cloudassist_tasks.operations.{home}' for home in HOMES}\n"
            "missing = wanted - set(sys.modules)\n"
            "runtime.close()\n"
            "assert missing == set(), missing"
        )

        loaded = loaded_by(opening)

    assert "celery" in loaded
