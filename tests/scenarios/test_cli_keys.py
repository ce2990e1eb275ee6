"""Keys and the audit from the command line, as an administrator has them."""

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.command_line import Installation, installation
from tests.support.eventually import eventually
from tests.support.valkey import ValkeyServer, private_valkey

pytestmark = pytest.mark.xdist_group("cli-keys")


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with private_valkey() as running:
        yield running


@pytest.fixture
def cloudassist(server: ValkeyServer) -> Iterator[Installation]:
    """An installation with an empty store; nobody carries anything out."""
    server.client().flushall()
    with installation(
        here=True, CLOUDASSIST_REDIS_URL=server.url(0), CLOUDASSIST_BROKER_URL=server.broker_url(1)
    ) as home:
        yield home


def test_a_key_lives_from_create_to_rm(cloudassist: Installation) -> None:
    made = cloudassist(
        "key", "create", "--role", "viewer", "--name", "board", "--action", "Describe*", "--tag", "env=test",
        "--run-as", "deploy", "--json",
    )  # fmt: skip
    key_id, secret = made.json["access_key_id"], made.json["access_key_secret"]
    listed = cloudassist("key", "ls")
    rotated = cloudassist("key", "rotate", key_id, "--grace", "60", "--json")
    cloudassist("key", "disable", key_id)
    disabled = cloudassist("key", "ls", "--json")
    enabled = cloudassist("key", "enable", key_id)
    removed = cloudassist("key", "rm", key_id)
    gone = cloudassist("key", "disable", key_id)

    assert made.exit == 0, made
    assert listed.out.splitlines()[1].split() == [
        key_id, "board", "viewer", "Active", "actions:Describe*;tags:env=test;users:deploy", "never",
    ]  # fmt: skip
    assert rotated.json["access_key_secret"] != secret
    assert "the secret before it serves until" in rotated.err
    assert [(item["access_key_id"], item["status"]) for item in disabled.json] == [(key_id, "Inactive")]
    assert (enabled.err, removed.err) == (f"enabled {key_id}\n", f"removed {key_id}\n")
    assert gone.exit == 2
    assert gone.err.startswith("error: InvalidAccessKeyId.NotFound: no access key")


def test_a_secret_is_printed_once_and_only_its_owner_reads_the_master_key(
    cloudassist: Installation,
) -> None:
    made = cloudassist("key", "create")
    [_, key_id], [_, secret] = (line.split() for line in made.out.splitlines())
    everything = cloudassist("key", "ls", "--json").out + cloudassist("audit", "--json").out

    master = cloudassist.data_dir / "secret.key"
    assert key_id in everything
    assert secret not in everything
    assert "it is not shown again" in made.err
    assert stat.S_IMODE(master.stat().st_mode) == 0o600


def test_a_wrong_master_key_is_told_in_one_line_and_a_new_one_takes_over(cloudassist: Installation) -> None:
    cloudassist("key", "create")
    old = (cloudassist.data_dir / "secret.key").read_text().strip()

    wrong = cloudassist("key", "create", environment={"CLOUDASSIST_SECRET_KEY": "x" * 32})
    resealed = cloudassist("key", "reseal", environment={"CLOUDASSIST_SECRET_KEY": f"{'x' * 32},{old}"})
    right = cloudassist("key", "create", environment={"CLOUDASSIST_SECRET_KEY": "x" * 32})

    assert wrong.exit == 2
    assert "was sealed under another master key than ours" in wrong.err
    assert old not in wrong.err
    assert resealed.err == "sealed 1 key anew\n"
    assert right.exit == 0, right


def test_a_role_that_does_not_exist_is_refused(cloudassist: Installation) -> None:
    done = cloudassist("key", "create", "--role", "root")

    assert (done.exit, done.err) == (
        2,
        "error: InvalidParameter: Role 'root' does not exist; there are viewer, operator, admin\n",
    )


def test_the_audit_shows_what_was_called(cloudassist: Installation) -> None:
    cloudassist("command", "create", "greet", "echo hello")
    cloudassist("command", "rm", "c-unknown")
    cloudassist("command", "ls")

    all_ = cloudassist("audit", "--ndjson").ndjson
    refused = cloudassist("audit", "--outcome", "Invalid*")
    recent = cloudassist("audit", "--action", "CreateCommand", "--since", "1h", "--limit", "1", "--json").json
    none = cloudassist("audit", "--since", "2200-01-01T00:00:00Z", "--json").json

    assert [(item["action"], item["outcome"]) for item in all_] == [
        ("DescribeCommands", "Success"),
        ("DeleteCommand", "InvalidCmdId.NotFound"),
        ("CreateCommand", "Success"),
    ]
    assert refused.out.splitlines()[1].split()[1:5] == [
        "local", "process", "DeleteCommand", "InvalidCmdId.NotFound",
    ]  # fmt: skip
    assert recent[0]["arguments"]["CommandContent"] == "*** (16 characters)"
    assert none == []


def test_the_audit_is_followed(cloudassist: Installation) -> None:
    cloudassist("command", "create", "before", "echo")
    told = cloudassist.directory / "followed"
    with told.open("w") as out:
        follower = cloudassist.start("audit", "-f", "--ndjson", "--action", "CreateCommand", stdout=out)
    try:
        eventually(lambda: "before" in told.read_text(), within=30)
        cloudassist("command", "create", "after", "echo")
        eventually(lambda: "after" in told.read_text(), within=30)
    finally:
        os.kill(follower.pid, signal.SIGINT)
        try:
            code = follower.wait(120)
        except subprocess.TimeoutExpired:
            follower.kill()
            raise

    names = [json.loads(line)["arguments"]["Name"] for line in told.read_text().splitlines()]
    assert names == ["before", "after"]
    assert code == 130


def test_one_document_cannot_be_followed(cloudassist: Installation) -> None:
    done = cloudassist("audit", "-f", "--json")

    assert done.exit == 2
    assert "use --ndjson" in done.err
