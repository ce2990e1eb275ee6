"""`cloudassist up` with its endpoint, `cloudassist call`, and the command line far from the installation."""

import os
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cloudassist_tasks.client.door import Client
from cloudassist_tasks.contract.commands import DescribeCommands
from tests.support.command_line import Installation, Up, installation
from tests.support.eventually import eventually
from tests.support.processes import descendants


@pytest.fixture(scope="module")
def home() -> Iterator[Installation]:
    with installation() as made:
        done = made("instance", "add", "here", "--local")
        assert done.exit == 0, done
        yield made


@pytest.fixture(scope="module")
def up(home: Installation) -> Iterator[Up]:
    with home.up("--no-flower", "--port", "0") as running:
        yield running


@pytest.fixture(scope="module")
def url(up: Up) -> str:
    found = re.search(r"endpoint: (http://127\.0\.0\.1:\d+) ", up.text())
    assert found is not None, up.text()
    return found[1]


@pytest.fixture(scope="module")
def far(home: Installation, url: str) -> Mapping[str, str]:
    """What makes a command line elsewhere talk to the endpoint; it has no installation of its own."""
    key = home("key", "create", "--role", "admin", "--json").json
    return {
        "CLOUDASSIST_URL": url,
        "CLOUDASSIST_ACCESS_KEY": f"{key['access_key_id']}:{key['access_key_secret']}",
        "CLOUDASSIST_DATA_DIR": "/proc/no/such",
    }


def test_the_endpoint_of_up_is_started_again_and_calls_wait_for_it(
    home: Installation, up: Up, far: Mapping[str, str]
) -> None:
    with Client(far["CLOUDASSIST_URL"], far["CLOUDASSIST_ACCESS_KEY"]) as client:
        (endpoint,) = [pid for pid in descendants(up.process.pid) if _serves(pid)]

        os.kill(endpoint, signal.SIGKILL)

        assert client.send(DescribeCommands()).request_id
    eventually(lambda: "endpoint was ended by SIGKILL" in up.text(), within=10)


def _serves(pid: int) -> bool:
    try:
        return "serve" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:  # it has ended since it was listed
        return False


def test_the_command_line_works_from_afar(home: Installation, far: Mapping[str, str]) -> None:
    ran = home("run", "echo hello", "-i", "here", environment=far)
    listed = home("invocation", "ls", environment=far)
    refused = home("run", "true", "-i", "nobody", environment=far)
    at_home_only = home("doctor", environment=far)

    assert (ran.exit, ran.out) == (0, "here:\nhello\n"), ran
    assert listed.exit == 0
    assert refused.exit == 2
    assert refused.err.startswith("error: InvalidInstance.NotFound: ")
    assert at_home_only.exit != 0


def test_a_wrong_key_and_an_endpoint_that_is_away_are_one_line(
    home: Installation, far: Mapping[str, str]
) -> None:
    wrong = home("command", "ls", environment={**far, "CLOUDASSIST_ACCESS_KEY": "CA0:s3cret"})
    none = home("command", "ls", environment={**far, "CLOUDASSIST_ACCESS_KEY": ""})
    away = home("command", "ls", environment={**far, "CLOUDASSIST_URL": "http://127.0.0.1:1"})

    assert [done.exit for done in (wrong, none, away)] == [2, 2, 2]
    assert wrong.err.startswith("error: InvalidAccessKeyId.NotFound: ")
    assert none.err.startswith("error: InvalidSetting: the access key must be ID:SECRET")
    assert re.fullmatch(r"error: ServiceUnavailable: the endpoint at 127\.0\.0\.1:1 .*refused.*\n", away.err)
    assert "s3cret" not in wrong.err


@pytest.mark.parametrize("where", ["at home", "from afar"])
def test_call_sends_any_operation_and_prints_json(
    home: Installation, far: Mapping[str, str], where: str
) -> None:
    environment = far if where == "from afar" else {}
    made = home(
        "call", "CreateCommand", "--Name", where, "--Type=RunShellScript", "--CommandContent", "echo {{a}}",
        "--ContentEncoding", "PlainText", "--EnableParameter", "true", "--Tag.1.Key", "where",
        environment=environment,
    )  # fmt: skip
    invoked = home(
        "call", "InvokeCommand", "--CommandId", made.json["CommandId"], "--InstanceId", "here",
        "--Parameters", '{"a": "b"}', environment=environment,
    )  # fmt: skip
    assert invoked.exit == 0, invoked
    home("invocation", "wait", invoked.json["InvokeId"], environment=environment)
    results = home(
        "call", "DescribeInvocationResults", "--InvokeId", invoked.json["InvokeId"],
        "--ContentEncoding", "PlainText", environment=environment,
    )  # fmt: skip

    (result,) = results.json["Invocation"]["InvocationResults"]["InvocationResult"]
    assert (result["Output"], result["ExitCode"]) == ("b\n", 0)
    assert results.json["RequestId"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("Nothing",), "there is no operation 'Nothing'"),
        (("RunCommand", "--Nme", "x"), "--Nme is no parameter of RunCommand"),
        (("RunCommand", "x"), "'x' is no parameter"),
        (("RunCommand", "--Name"), "--Name needs a value"),
        (("RunCommand", "--Name", "x", "--Name", "y"), "--Name is given twice"),
        (("RunCommand", "--Type", "RunShellScript"), "MissingCommandContent: "),
        (("DescribeCommands", "--PageSize", "many"), "InvalidParam.PageSize: "),
    ],
)
def test_call_says_what_is_wrong_with_what_was_typed(
    home: Installation, arguments: tuple[str, ...], error: str
) -> None:
    done = home.here("call", *arguments, environment={"CLOUDASSIST_DATA_DIR": "/proc/no/such"})

    assert (done.exit, done.out) == (2, "")
    assert done.err.startswith(f"error: {error}")


def test_call_shows_what_there_is_and_what_it_takes(home: Installation) -> None:
    listed, taken = home.here("call", "--list"), home.here("call", "RunCommand", "--help")

    assert "RunCommand" in listed.out.splitlines()
    assert "AddInstances  (ours)" in listed.out.splitlines()
    assert re.search(r"^ +--InstanceId +text; may be repeated$", taken.out, re.MULTILINE)
    assert re.search(r"^ +--Type +text \(required\)$", taken.out, re.MULTILINE)
    assert re.search(r"^ +--Tag\.N\.Key +text", taken.out, re.MULTILINE)
