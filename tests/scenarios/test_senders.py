"""One suite, every way in: in process, our HTTP client, `cloudassist call`, the vendor's Python SDK of today.

The SDK is used as it is: awaited or not, with the signature of today (V3) and with the one before it (V1).
What the scenarios send are the contract's operations; `tests/support/sdks.py` takes them along each way.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks import (
    Client,
    CloneCommand,
    CreateCommand,
    DeleteCommand,
    DescribeAccountAttributes,
    DescribeCloudAssistantStatus,
    DescribeCommands,
    DescribeInstances,
    DescribeInstanceStatus,
    DescribeInvocationResults,
    DescribeInvocations,
    InvokeCommand,
    ModifyCommand,
    Operation,
    RunCommand,
    StopInvocation,
    Tag,
)
from cloudassist_tasks.contract.files import DescribeSendFileResults, FileItem, SendFile
from cloudassist_tasks.contract.invocations import InvocationItem, InvocationResult
from cloudassist_tasks.domain.status import FINAL
from tests.support.endpoint import Endpoint, installation, served_installation  # noqa: F401
from tests.support.eventually import eventually
from tests.support.sdks import (
    REGION,
    ByCommandLine,
    ByOurClient,
    BySdk,
    Sender,
    Turned,
    sdk_client,
    unproxied,
)

pytestmark = pytest.mark.xdist_group("senders")  # one installation for all of them

WAYS = ("process", "http", "cli", "sdk", "sdk-async", "sdk-v1", "sdk-v1-async")
IDS = ("i-1", "i-2", "i-3")
SHELL = "RunShellScript"
ODD = 'Jack & "Jill" 名 *~+/=%20'
"""What each family of clients escapes in its own way."""

ENDED = {status.value for status in FINAL}


@pytest.fixture(scope="module")
def home(served_installation: Endpoint) -> Iterator[Endpoint]:  # noqa: F811
    """The endpoint, with three instances behind it."""
    assert served_installation.installation is not None
    served_installation.installation.add(*IDS, tags={"role": "web"})
    with unproxied():
        yield served_installation


@pytest.fixture(params=WAYS, scope="module")
def way(request: pytest.FixtureRequest) -> str:
    """Its name."""
    return str(request.param)


@pytest.fixture(scope="module")
def sender(way: str, home: Endpoint) -> Iterator[Sender]:
    """Each way in."""
    match way:
        case "process":
            yield ByOurClient(home.client)
        case "http":
            with Client(home.url, f"{home.key.id}:{home.key.secret}") as client:
                yield ByOurClient(client)
        case "cli":
            yield ByCommandLine()
        case _:
            key = home.new_key("admin", name=way)
            signature = "V1" if "v1" in way else "V3"
            yield BySdk(sdk_client(home, key, signature), asynchronous="async" in way)


@pytest.fixture
def mine(request: pytest.FixtureRequest) -> Sequence[Tag]:
    """A tag that tells this test's things from all others', and one without a value."""
    return (Tag(key="test", value=request.node.name[-100:]), Tag(key="empty", value=""))


def test_a_kept_command_with_parameters_is_invoked_on_three_instances(
    sender: Sender, mine: Sequence[Tag]
) -> None:
    script = "cat <<'END'\n{{who}} on {{ACS::InstanceId}}\nEND\n"
    made = sender.send(
        CreateCommand(
            region_id=REGION,
            name="greet",
            type=SHELL,
            command_content=_encoded(
                script
            ),  # Base64 is what CreateCommand takes unless it is told otherwise
            enable_parameter=True,
            timeout=30,
        )
    )

    invoked = sender.send(
        InvokeCommand(
            region_id=REGION, command_id=made.command_id, instance_id=IDS, parameters={"who": ODD}, tag=mine
        )
    )

    results = _ended(sender, invoked.invoke_id)
    assert {one.instance_id: _decoded(one.output) for one in results} == {
        id: f"{ODD} on {id}\n" for id in IDS
    }
    assert {(one.invocation_status, one.exit_code) for one in results} == {("Success", 0)}
    assert {one.command_id for one in results} == {made.command_id}
    assert {tag.tag_key: tag.tag_value for tag in results[0].tags} == {tag.key: tag.value for tag in mine}
    sender.send(DeleteCommand(region_id=REGION, command_id=made.command_id))


def test_a_script_runs_where_the_tags_are(sender: Sender, mine: Sequence[Tag]) -> None:
    ran = sender.send(
        RunCommand(
            region_id=REGION,
            type=SHELL,
            command_content="echo $(({{a}} + 1)); exit {{a}}",
            enable_parameter=True,
            parameters={"a": "3"},
            resource_tag=[Tag(key="role", value="web")],
            tag=mine,
        )
    )

    results = _ended(sender, ran.invoke_id)

    assert [one.instance_id for one in results] == list(IDS)
    assert {(one.invocation_status, one.invoke_record_status) for one in results} == {("Failed", "Finished")}
    assert {(_decoded(one.output), one.exit_code, one.error_code) for one in results} == {
        ("4\n", 3, "ExitCodeNonzero")
    }


def test_an_invocation_is_stopped_on_one_instance_then_on_all(sender: Sender, mine: Sequence[Tag]) -> None:
    ran = sender.send(
        RunCommand(
            region_id=REGION,
            type=SHELL,
            command_content="echo begun; sleep 600",
            instance_id=IDS[:2],
            timeout=600,
            tag=mine,
        )
    )

    def have_begun() -> bool:
        found = _invocation(sender, ran.invoke_id)
        return (_states(found), _outputs(found)) == (["Running", "Running"], ["begun\n", "begun\n"])

    eventually(have_begun, within=60)

    sender.send(StopInvocation(region_id=REGION, invoke_id=ran.invoke_id, instance_id=["i-1"]))
    eventually(lambda: _states(_invocation(sender, ran.invoke_id)) == ["Terminated", "Running"], within=20)
    sender.send(StopInvocation(region_id=REGION, invoke_id=ran.invoke_id))

    eventually(lambda: _invocation(sender, ran.invoke_id).invocation_status == "Stopped", within=20)
    stopped = _invocation(sender, ran.invoke_id)
    assert (_states(stopped), stopped.invoke_status) == (["Terminated", "Terminated"], "Stopped")
    assert _outputs(stopped) == ["begun\n", "begun\n"]
    assert all(one.stop_time for one in stopped.invoke_instances)


def test_listings_are_filtered_and_paged_in_both_ways(sender: Sender, mine: Sequence[Tag]) -> None:
    ran = sender.send(
        RunCommand(
            region_id=REGION, type=SHELL, command_content="true", name="listed", instance_id=IDS, tag=mine
        )
    )
    _ended(sender, ran.invoke_id)

    numbered = sender.send(
        DescribeInvocationResults(region_id=REGION, invoke_id=ran.invoke_id, page_number=2, page_size=2)
    ).invocation
    first = sender.send(
        DescribeInvocationResults(region_id=REGION, invoke_id=ran.invoke_id, max_results=2)
    ).invocation
    second = sender.send(
        DescribeInvocationResults(
            region_id=REGION, invoke_id=ran.invoke_id, max_results=2, next_token=first.next_token
        )
    ).invocation
    found = sender.send(
        DescribeInvocations(
            region_id=REGION,
            tag=mine,
            instance_id="i-2",
            invoke_status="Success",
            command_type=SHELL,
            timed=False,
        )
    )
    nothing = sender.send(DescribeInvocations(region_id=REGION, tag=mine, invoke_status="Running"))

    assert [one.instance_id for one in numbered.invocation_results] == ["i-3"]
    assert (numbered.total_count, numbered.page_number, numbered.page_size) == (3, 2, 2)
    assert [one.instance_id for one in (*first.invocation_results, *second.invocation_results)] == list(IDS)
    assert first.next_token
    assert not second.next_token
    assert [one.invoke_id for one in found.invocations] == [ran.invoke_id]
    assert [one.instance_id for one in found.invocations[0].invoke_instances] == ["i-2"]
    assert found.invocations[0].command_name == "listed"
    assert (list(nothing.invocations), nothing.total_count) == ([], 0)


def test_a_file_is_sent_and_read_back_by_a_command(
    sender: Sender, mine: Sequence[Tag], tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("sent") / "new"
    content = base64.b64encode(b"\x00binary\xff\n").decode()
    file = SendFile(
        region_id=REGION,
        name="some file",
        content=content,
        content_type="Base64",
        target_dir=str(target),
        file_mode="0640",
        instance_id=["i-1"],
        tag=mine,
    )

    sent = _sent(sender, sender.send(file).invoke_id)
    again = _sent(sender, sender.send(file).invoke_id)

    read = sender.send(
        RunCommand(
            region_id=REGION,
            type=SHELL,
            command_content='stat -c "%a %s" "$f"; cat "$f"'.replace("$f", str(target / "some file")),
            instance_id=["i-1"],
        )
    )
    (result,) = _ended(sender, read.invoke_id)
    assert base64.b64decode(result.output) == b"640 9\n\x00binary\xff\n"
    assert (sent.invocation_status, sent.overwrite, sent.vm_count, sent.content) == (
        "Success",
        "false",
        1,
        content,
    )
    assert [(one.invocation_status, one.error_code) for one in again.invoke_instances] == [
        ("Invalid", "FileAlreadyExists")
    ]


def test_a_command_is_kept_cloned_modified_and_deleted(sender: Sender, mine: Sequence[Tag]) -> None:
    name = mine[0].value
    kept = sender.send(
        RunCommand(
            region_id=REGION,
            type=SHELL,
            command_content="echo kept",
            instance_id=["i-1"],
            name=name,
            keep_command=True,
        )
    )
    _ended(sender, kept.invoke_id)
    copy = _clone(sender, kept.command_id)

    sender.send(ModifyCommand(region_id=REGION, command_id=copy, name=f"{name} 2", description="", timeout=5))
    listed = sender.send(DescribeCommands(region_id=REGION, name=f"{name}*", content_encoding="PlainText"))
    for command_id in (kept.command_id, copy):
        sender.send(DeleteCommand(region_id=REGION, command_id=command_id))
    left = sender.send(DescribeCommands(region_id=REGION, name=f"{name}*"))

    assert {(one.command_id, one.name, one.timeout, one.command_content) for one in listed.commands} == {
        (kept.command_id, name, 60, "echo kept"),
        (copy, f"{name} 2", 10, "echo kept"),
    }
    assert list(left.commands) == []
    with pytest.raises(Turned, match=r"InvalidCmdId.NotFound"):
        sender.send(DeleteCommand(region_id=REGION, command_id=copy))


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        (
            RunCommand(type=SHELL, command_content="true", instance_id=["i-nowhere"]),
            "InvalidInstance.NotFound",
            404,
        ),
        (
            RunCommand(type=SHELL, command_content="#" * 16_384, instance_id=["i-1"]),
            "CmdContent.ExceedLimit",
            403,
        ),
        (
            RunCommand(
                type=SHELL,
                command_content="{{a}}",
                enable_parameter=True,
                parameters={"b": "1"},
                instance_id=["i-1"],
            ),
            "Parameter.NotMatched",
            400,
        ),
        (StopInvocation(invoke_id="t-nowhere"), "InvalidInvokeId.NotFound", 404),
        (DescribeInvocations(max_results=51), "InvalidParameter.MaxResults", 400),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_refusal_has_its_code_its_status_and_the_id_of_the_request(
    sender: Sender, way: str, operation: Operation[Any], code: str, status: int
) -> None:
    with pytest.raises(Turned) as turned:
        sender.send(operation)

    assert turned.value.code == code
    assert turned.value.status in (status, None)
    if way not in ("process", "cli"):  # over HTTP there is an answer that says so
        assert (turned.value.status, len(turned.value.request_id or "")) == (status, 36)


def test_the_same_token_gives_the_same_invocation(
    sender: Sender, mine: Sequence[Tag], tmp_path: Path
) -> None:
    def run(script: str) -> str:
        return sender.send(
            RunCommand(
                region_id=REGION,
                type=SHELL,
                command_content=script,
                instance_id=["i-1"],
                client_token=base64.b32encode(mine[0].value[-24:].encode()).decode(),
                tag=mine,
            )
        ).invoke_id

    script = f"echo once >> {tmp_path}/mark"

    first, second = run(script), run(script)
    with pytest.raises(Turned) as turned:
        run("echo other")

    assert first == second
    assert turned.value.code == "IdempotentParameterMismatch"
    _ended(sender, first)
    assert (tmp_path / "mark").read_text() == "once\n"
    assert [one.invoke_id for one in sender.send(DescribeInvocations(tag=mine)).invocations] == [first]


def test_instances_and_quotas_are_described(sender: Sender) -> None:
    def usable() -> Mapping[str, str]:
        asked = DescribeCloudAssistantStatus(region_id=REGION, instance_id=IDS)
        told = sender.send(asked).instance_cloud_assistant_status_set
        return {one.instance_id: one.cloud_assistant_status for one in told}

    eventually(lambda: usable() == dict.fromkeys(IDS, "true"), within=30)
    instances = sender.send(DescribeInstances(region_id=REGION, instance_ids=json.dumps(IDS)))
    states = sender.send(DescribeInstanceStatus(region_id=REGION, instance_id=IDS))
    quotas = sender.send(
        DescribeAccountAttributes(
            region_id=REGION, attribute_name=["max-axt-command-count", "max-axt-invocation-daily"]
        )
    )

    assert [(one.instance_id, one.os_type, one.status) for one in instances.instances] == [
        (id, "linux", "Running") for id in IDS
    ]
    assert {(tag.tag_key, tag.tag_value) for tag in instances.instances[0].tags} == {("role", "web")}
    assert {one.status for one in states.instance_statuses} == {"Running"}
    assert {one.attribute_name: one.attribute_values[0].value for one in quotas.account_attribute_items} == {
        "max-axt-command-count": "100",
        "max-axt-invocation-daily": "5000",
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def _ended(sender: Sender, invoke_id: str) -> Sequence[InvocationResult]:
    """The results, once all of them are there; by instance."""
    results: Sequence[InvocationResult] = ()

    def have_ended() -> bool:
        nonlocal results
        results = sender.send(
            DescribeInvocationResults(region_id=REGION, invoke_id=invoke_id)
        ).invocation.invocation_results
        return all(one.invocation_status in ENDED for one in results)

    eventually(have_ended, within=90, every=0.1)
    return sorted(results, key=lambda one: one.instance_id)


def _invocation(sender: Sender, invoke_id: str) -> InvocationItem:
    found = sender.send(DescribeInvocations(region_id=REGION, invoke_id=invoke_id, include_output=True))
    return found.invocations[0]


def _states(invocation: InvocationItem) -> list[str]:
    return [
        one.invocation_status for one in sorted(invocation.invoke_instances, key=lambda one: one.instance_id)
    ]


def _outputs(invocation: InvocationItem) -> list[str]:
    return [_decoded(one.output) for one in invocation.invoke_instances]


def _sent(sender: Sender, invoke_id: str) -> FileItem:
    """The file, once its way is at an end on all instances."""
    files: Sequence[FileItem] = ()

    def have_ended() -> bool:
        nonlocal files
        files = sender.send(DescribeSendFileResults(region_id=REGION, invoke_id=invoke_id)).invocations
        return all(one.invocation_status in ENDED for one in files[0].invoke_instances)

    eventually(have_ended, within=90, every=0.1)
    return files[0]


def _clone(sender: Sender, command_id: str) -> str:
    """A copy; users of the vendor's SDK read the original and create another."""
    if sender.ours:
        return sender.send(CloneCommand(command_id=command_id)).command_id
    (original,) = sender.send(DescribeCommands(region_id=REGION, command_id=command_id)).commands
    copy = CreateCommand(
        region_id=REGION,
        name=original.name,
        type=original.type,
        command_content=original.command_content,
        timeout=original.timeout,
    )
    return sender.send(copy).command_id
