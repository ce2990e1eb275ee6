"""The client in a program of its own: it starts the embedded store, and leaves nothing behind."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.processes import mentioning
from tests.support.valkey import memory_folder

PROGRAM = """
from cloudassist_tasks import AddInstances, Client, InstanceRegistration, Refused, describe_error

client = Client()
client.send(AddInstances(instances=[InstanceRegistration(instance_id="i-1", host="10.0.0.1")]))
print([one.registration.instance_id for one in client.instances()])
try:
    client.run("true", instances=["i-2"])
except Refused as refusal:
    print(describe_error(refusal))
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """In memory: its store waits for the disk with each write."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        yield Path(folder)


def program(text: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_program_that_never_closes_its_client_leaves_no_server(data_dir: Path) -> None:
    done = program(PROGRAM, {"CLOUDASSIST_DATA_DIR": str(data_dir)})

    assert done.returncode == 0, done.stderr
    registered, refused = done.stdout.splitlines()
    assert registered == "['i-1']"
    assert refused.startswith("InvalidInstance.NotFound: ")
    assert done.stderr == ""
    eventually(lambda: mentioning(str(data_dir)) == set(), within=10)


def test_what_was_registered_is_there_in_the_next_program(data_dir: Path) -> None:
    environment = {"CLOUDASSIST_DATA_DIR": str(data_dir)}
    assert program(PROGRAM, environment).returncode == 0
    listing = "from cloudassist_tasks import Client\nwith Client() as c: print(len(c.instances()))"

    done = program(listing, environment)

    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_store_that_does_not_answer_is_said_in_one_line(data_dir: Path) -> None:
    environment = {
        "CLOUDASSIST_DATA_DIR": str(data_dir),
        "CLOUDASSIST_REDIS_URL": "redis://:hush@127.0.0.1:1/0",
    }
    text = (
        "from cloudassist_tasks import Broken, Client, describe_error\n"
        "try:\n    Client().instances()\nexcept Broken as error:\n    print(describe_error(error))"
    )

    done = program(text, environment)

    assert done.stdout.startswith("ServiceUnavailable: ")
    assert "127.0.0.1:1" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert done.stderr == ""
