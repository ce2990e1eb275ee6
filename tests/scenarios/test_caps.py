"""Caps through every way in: as tags by the vendor's SDK, by name by our clients and the command line."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest

from cloudassist_tasks import AsyncClient, DescribeInvocations, Refused, RunCommand, Tag
from cloudassist_tasks.contract.commands import CreateCommand
from cloudassist_tasks.contract.files import SendFile
from cloudassist_tasks.contract.invocations import InvokeCommand
from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.status import FINAL
from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401
from tests.support.eventually import eventually
from tests.support.sdks import REGION, BySdk, sdk_client, unproxied

pytestmark = pytest.mark.xdist_group("caps")  # one installation for all of them

IDS = ("i-1", "i-2", "i-3", "i-4")
SHELL = "RunShellScript"
STRICT = (Tag(key="cloudassist:max-concurrency", value="25%"), Tag(key="cloudassist:max-errors", value="0"))
"""One after another, and none after one that failed."""

HALTED = {"Failed": 1, "Cancelled": 3}


@pytest.fixture(scope="module")
def home(served_installation: Endpoint) -> Iterator[Endpoint]:  # noqa: F811
    """The endpoint, with four instances behind it."""
    assert served_installation.installation is not None
    served_installation.installation.add(*IDS)
    with unproxied():
        yield served_installation


@pytest.fixture
def vendor(home: Endpoint) -> BySdk:
    return BySdk(sdk_client(home, home.key), asynchronous=False)


def _ended(home: Endpoint, invoke_id: str) -> Mapping[str, int]:
    """How many instances ended in each state; those that did not begin say why."""

    def looked() -> Counter[str]:
        (item,) = home.client.send(DescribeInvocations(invoke_id=invoke_id)).invocations
        for one in item.invoke_instances:
            assert (one.invocation_status == "Cancelled") == (one.error_code == "MaxErrorsExceeded")
        return Counter(one.invocation_status for one in item.invoke_instances)

    eventually(lambda: set(looked()) <= {status.value for status in FINAL}, within=60)
    return looked()


def test_the_vendor_s_sdk_sends_them_as_tags_of_a_script(home: Endpoint, vendor: BySdk) -> None:
    opened = vendor.send(
        RunCommand(region_id=REGION, type=SHELL, command_content="exit 3", instance_id=IDS, tag=STRICT)
    )

    assert _ended(home, opened.invoke_id) == HALTED


def test_the_vendor_s_sdk_sends_them_as_tags_of_a_command_and_of_a_file(
    home: Endpoint, vendor: BySdk
) -> None:
    made = vendor.send(CreateCommand(region_id=REGION, name="caps", type=SHELL, command_content="ZXhpdCAz"))

    invoked = vendor.send(
        InvokeCommand(region_id=REGION, command_id=made.command_id, instance_id=IDS, tag=STRICT)
    )
    sent = vendor.send(
        SendFile(
            region_id=REGION, name="f", content="x", target_dir="/dev/null/no", instance_id=IDS, tag=STRICT
        )
    )

    assert _ended(home, invoked.invoke_id) == HALTED
    summary = home.client.wait(sent.invoke_id, timeout=60)
    assert summary.counts["Cancelled"] == 3


async def test_our_client_gives_them_by_name(home: Endpoint) -> None:
    async with AsyncClient(home.url, (home.key.id, home.key.secret)) as client:
        invocation = await client.run("exit 3", instances=IDS, max_concurrency=1, max_errors="0%")

        summary = await invocation.wait(120)

    assert summary.counts == HALTED


def test_what_is_no_cap_is_refused_before_anything_is_opened(home: Endpoint) -> None:
    with pytest.raises(Refused) as refusal:
        home.client.run("true", instances=IDS, max_concurrency=0)

    assert refusal.value.kind is Kind.BAD_VALUE
    assert "MaxConcurrency '0'" in str(refusal.value)


def test_the_command_line_gives_them_by_name(home: Endpoint) -> None:
    caps = ("--max-concurrency", "25%", "--max-errors", "0")
    command = (sys.executable, "-m", "cloudassist_tasks.cli", "run", "exit 3", "--all", *caps, "--json")

    ended = subprocess.run(command, capture_output=True, check=False, timeout=60)

    assert ended.returncode == 1, ended.stderr
    assert json.loads(ended.stdout)["counts"] == HALTED
