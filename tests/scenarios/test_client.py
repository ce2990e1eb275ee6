"""The Python client against a whole installation: real store, real worker, real sshd on many addresses."""

import asyncio
import json
from pathlib import Path

import pytest

from cloudassist_tasks import (
    AsyncClient,
    CloneCommand,
    DescribeCloudAssistantStatus,
    DescribeCommands,
    DescribeInvocationResults,
    DescribeInvocations,
    InstallCloudAssistant,
    ModifyCommand,
    PrepareInstances,
    ProbeInstances,
    Refused,
    RunCommand,
    WaitedTooLong,
    describe_error,
)
from cloudassist_tasks.client.summary import RUN_FIELDS
from tests.support.eventually import eventually
from tests.support.installation import Installation, installation  # noqa: F401

ODD_FAIL = "echo {{ACS::InstanceId}}; case {{ACS::InstanceId}} in *[13579]) exit 3;; esac"


def test_a_script_runs_on_each_instance_and_its_output_comes_back(installation: Installation) -> None:  # noqa: F811
    ids = installation.add("i-1", "i-2", "i-3")

    summary = installation.client.run(ODD_FAIL, instances=ids).wait(timeout=120)

    assert summary.status == "PartialFailed"
    assert dict(summary.counts) == {"Success": 1, "Failed": 2}
    assert [(run.instance_id, run.exit_code, run.output) for run in summary.instances] == [
        ("i-1", 3, "i-1\n"),
        ("i-2", 0, "i-2\n"),
        ("i-3", 3, "i-3\n"),
    ]
    assert not summary.succeeded
    assert summary["i-1"].error_code == "ExitCodeNonzero"
    assert summary["i-1"].instance_invoke_status == "Finished"


def test_the_json_object_has_the_agreed_names(installation: Installation) -> None:  # noqa: F811
    ids = installation.add("i-1")
    summary = installation.client.run("printf '\\377é'", instances=ids).wait(timeout=120)

    told = json.loads(json.dumps(summary.to_json()))

    assert told["invoke_id"] == summary.invoke_id
    assert (told["invocation_status"], told["invoke_status"]) == ("Success", "Finished")
    assert told["counts"] == {"Success": 1}
    (run,) = told["instances"]
    assert tuple(run) == RUN_FIELDS
    assert run["output"] == "\ufffdé"
    assert (run["exit_code"], run["dropped"], run["error_code"], run["error_info"]) == (0, 0, "", "")
    assert run["start_time"] <= run["finish_time"]


def test_results_come_one_by_one_as_the_runs_end(installation: Installation) -> None:  # noqa: F811
    ids = installation.add("i-1", "i-2", "i-3")
    waits = "while [ {{ACS::InstanceId}} = i-2 ] && [ ! -e {{flag}} ]; do sleep 0.05; done; echo done"
    flag = installation.sshd.directory / "go"
    invocation = installation.client.run(waits, instances=ids, parameters={"flag": str(flag)}, timeout=600)

    ended = iter(invocation)
    first = {next(ended).instance_id, next(ended).instance_id}
    counts = dict(invocation.counts)
    flag.touch()
    rest = [(run.instance_id, run.output) for run in ended]

    assert first == {"i-1", "i-3"}
    assert counts["Success"] == 2
    assert rest == [("i-2", "done\n")]


def test_output_is_seen_while_the_script_runs_and_a_stop_is_verified(
    installation: Installation,  # noqa: F811
) -> None:
    (instance_id,) = installation.add("i-1")
    invocation = installation.client.run("echo begun; sleep 600", instances=[instance_id], timeout=600)
    eventually(lambda: invocation.output(instance_id) == "begun\n", within=20)
    assert invocation.status == "Running"

    invocation.stop()

    summary = invocation.wait(timeout=120)
    assert (summary.status, dict(summary.counts)) == ("Stopped", {"Terminated": 1})
    assert summary[instance_id].output == "begun\n"
    assert installation.sshd.pids_of_run(f"{invocation.id}.{instance_id}.0") == []


def test_waiting_too_long_names_the_invocation_and_leaves_it_alone(installation: Installation) -> None:  # noqa: F811
    ids = installation.add("i-1")
    invocation = installation.client.run("sleep 600", instances=ids, timeout=600)

    with pytest.raises(WaitedTooLong, match=f"{invocation.id} is .*0 of 1 ended"):
        invocation.wait(timeout=0.3)

    assert not invocation.state().closed
    invocation.stop()
    invocation.wait(timeout=120)


def test_only_what_failed_is_retried(installation: Installation) -> None:  # noqa: F811
    ids = installation.add("i-1", "i-2")
    first = installation.client.run(ODD_FAIL, instances=ids)
    first.wait(timeout=120)

    second = first.retry_failed()

    assert [run.instance_id for run in second.wait(timeout=120).instances] == ["i-1"]
    assert second.state().retry_of == first.id
    fine = installation.client.run("true", instances=ids)
    fine.wait(timeout=120)
    with pytest.raises(Refused, match="nothing to retry"):
        fine.retry_failed()


def test_the_same_token_gives_the_same_invocation_and_another_script_is_refused(
    installation: Installation,  # noqa: F811
) -> None:
    ids = installation.add("i-1")
    client = installation.client

    first = client.run("echo once", instances=ids, token="token-1")
    again = client.run("echo once", instances=ids, token="token-1")
    with pytest.raises(Refused) as refusal:
        client.run("echo twice", instances=ids, token="token-1")

    assert first.id == again.id
    assert describe_error(refusal.value, RunCommand).startswith("IdempotentParameterMismatch: ")
    first.wait(timeout=120)


def test_instances_are_chosen_by_tag_by_name_and_all(installation: Installation) -> None:  # noqa: F811
    installation.add("web-2", "web-10", tags={"role": "web", "site": "a"}, name="front")
    client = installation.client

    by_tag = client.run("true", tags={"role": "web"}).wait(timeout=120)
    by_name = client.run("true", name="fro*").wait(timeout=120)
    everything = client.run("true", all=True).wait(timeout=120)

    assert [run.instance_id for run in by_tag.instances] == ["web-2", "web-10"]
    assert [run.instance_id for run in by_name.instances] == ["web-2", "web-10"]
    assert len(everything.instances) == len(client.instances())


def test_a_kept_command_is_invoked_changed_cloned_and_counted(installation: Installation) -> None:  # noqa: F811
    ids = installation.add("i-1")
    client = installation.client
    command_id = client.create_command("greet", "echo 'hello {{who}} in' $PWD", cwd="/tmp")

    summary = client.invoke(command_id, instances=ids, parameters={"who": "you"}).wait(timeout=120)
    client.send(ModifyCommand(command_id=command_id, working_dir="/"))
    changed = client.invoke(command_id, instances=ids, parameters={"WHO": ""}).wait(timeout=120)
    clone_id = client.send(CloneCommand(command_id=command_id, name="greet again")).command_id

    assert summary["i-1"].output == "hello you in /tmp\n"
    assert changed["i-1"].output == "hello  in /\n"
    listed = client.send(DescribeCommands(name="greet*", content_encoding="PlainText")).commands
    assert {one.command_id: one.invoke_times for one in listed} == {clone_id: 0, command_id: 2}
    assert {one.command_content for one in listed} == {"echo 'hello {{who}} in' $PWD"}
    assert {tuple(one.parameter_names) for one in listed} == {("who",)}


def test_more_than_fifty_instances_are_one_invocation_in_batches(installation: Installation) -> None:  # noqa: F811
    ids = installation.add(*(f"n-{number}" for number in range(1, 61)))
    invocation = installation.client.run("echo {{ACS::InstanceId}}", instances=ids)

    ended = {run.instance_id: run.output for run in invocation}

    assert ended == {instance_id: f"{instance_id}\n" for instance_id in ids}
    assert (invocation.state().batches, invocation.state().total) == (2, 60)
    assert [run.instance_id for run in invocation.results()] == ids
    (item,) = installation.client.send(DescribeInvocations(invoke_id=invocation.id)).invocations
    assert len(item.invoke_instances) == 50


def test_the_vendor_s_listing_pages_through_every_result(installation: Installation) -> None:  # noqa: F811
    ids = installation.add(*(f"p-{number}" for number in range(1, 24)))
    invocation = installation.client.run(ODD_FAIL, instances=ids)
    invocation.wait(timeout=120)
    seen: list[str] = []
    token: str | None = None

    while token != "":
        page = installation.client.send(
            DescribeInvocationResults(
                invoke_id=invocation.id, max_results=10, next_token=token, content_encoding="PlainText"
            )
        ).invocation
        seen += [f"{result.instance_id} {result.output}" for result in page.invocation_results]
        token = page.next_token

    assert seen == [f"{instance_id} {instance_id}\n" for instance_id in ids]
    last = installation.client.send(
        DescribeInvocationResults(invoke_id=invocation.id, page_number=3, page_size=10)
    ).invocation
    assert (len(last.invocation_results), last.total_count, last.next_token) == (3, 23, "")


def test_an_unreachable_host_and_a_wrong_key_end_with_their_reason(
    installation: Installation,  # noqa: F811
    tmp_path: Path,
) -> None:
    installation.add("gone", port=1)
    installation.add(
        "other", host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUMBlMWnhVYVVSk3YMbDDhK4cTHC9g3mZ2YdVmFZ0aB"
    )

    summary = installation.client.run("true", instances=["gone", "other"]).wait(timeout=120)

    assert {run.instance_id: (run.invocation_status, run.error_code) for run in summary.instances} == {
        "gone": ("Aborted", "ClientNotRunning"),
        "other": ("Aborted", "ClientNotOnline"),
    }
    assert all(run.error_info and "\n" not in run.error_info for run in summary.instances)


def test_a_missing_user_and_a_missing_directory_are_invalid(installation: Installation) -> None:  # noqa: F811
    ids = installation.add("i-1")

    user = installation.client.run("true", instances=ids, user="nobody-here").wait(timeout=120)
    directory = installation.client.run("true", instances=ids, cwd="/no/such").wait(timeout=120)

    assert (user["i-1"].invocation_status, user["i-1"].error_code) == ("Invalid", "AccountNotExists")
    assert (directory["i-1"].invocation_status, directory["i-1"].error_code) == (
        "Invalid",
        "DirectoryNotExists",
    )


def test_instances_are_probed_prepared_and_reported(installation: Installation) -> None:  # noqa: F811
    installation.add("fresh", host_key="", trust_on_first_use=True)
    installation.add("away", port=1)
    client = installation.client

    probed = client.send(ProbeInstances(instance_id=["fresh", "away"], within=60)).registrations
    prepared = client.send(PrepareInstances(instance_id=["fresh", "away"])).prepared
    client.send(InstallCloudAssistant(instance_id=["fresh"]))
    told = client.send(DescribeCloudAssistantStatus(instance_id=["fresh", "away"]))

    assert {one.registration.instance_id: one.contact.client_status for one in probed} == {
        "away": "offline",
        "fresh": "online",
    }
    assert {one.registration.instance_id: one.registration.host_key for one in probed} == dict.fromkeys(
        ("away", "fresh"), installation.sshd.host_key
    )
    assert {one.instance_id: one.error_code for one in prepared} == {
        "away": "ClientNotRunning",
        "fresh": "",
    }
    items = {one.instance_id: one for one in told.instance_cloud_assistant_status_set}
    assert items["fresh"].cloud_assistant_status == "true"
    assert items["fresh"].cloud_assistant_version
    assert items["away"].cloud_assistant_status == "false"


async def test_the_asynchronous_client_says_the_same(installation: Installation) -> None:  # noqa: F811
    await asyncio.to_thread(installation.add, "i-1")

    async with AsyncClient() as client:
        invocation = await client.run("echo async", instances=["i-1"])
        ended = [run.output async for run in invocation]
        summary = await invocation.wait(timeout=120)
        status = await invocation.status

    assert ended == ["async\n"]
    assert status == summary.status == "Success"
