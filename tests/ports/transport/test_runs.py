"""Runs over each way: launched, followed, stopped, collected, acknowledged."""

import asyncio
import secrets
from pathlib import Path

import pytest

from cloudassist_tasks.domain.command import TerminationMode
from cloudassist_tasks.domain.errors import LostContact, RunFailed
from cloudassist_tasks.domain.outcome import HostWord
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.transport import Ended, HostState, Output, Started
from tests.ports.transport.ways import Way, ended, output_of, payload, run, stopped
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until


@pytest.fixture
def run_id() -> str:
    return f"t-{secrets.token_hex(6)}.i-1.0"


async def test_a_script_runs_and_its_output_and_exit_code_come_back(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        events = await run(reached.host, run_id, "echo out; echo err >&2; exit 3")

    assert output_of(events) == b"out\nerr\n"
    assert (ended(events).word, ended(events).exit_code) == (HostWord.EXITED, 3)
    assert ended(events).total_bytes == 8


async def test_the_greeting_comes_before_anything_is_sent(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        attachment = await reached.host.launch(run_id, user="")

        assert attachment.greeting.state is HostState.ABSENT
        assert attachment.greeting.boot_id == reached.facts.boot_id
        await attachment.close()
        assert HostState.DONE is not (await reached.host.collect({run_id: 0}, user=""))[run_id].state


async def test_output_is_seen_while_the_script_runs(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        attachment = await reached.host.launch(run_id, user="")
        await attachment.begin(payload("echo first; sleep 600"))

        events = attachment.events()
        seen = [await anext(events), await anext(events)]

        assert isinstance(seen[0], Started)
        assert Output(offset=0, data=b"first\n") == seen[1]
        await stopped(attachment, reached.host, run_id)


async def test_of_much_output_the_head_and_the_tail_come(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        events = await run(reached.host, run_id, "seq 1 200000")

    result = ended(events)
    outputs = [event for event in events if isinstance(event, Output)]
    whole = "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert len(whole) == result.total_bytes
    assert all(whole[event.offset : event.offset + len(event.data)] == event.data for event in outputs)
    assert outputs[0].offset == 0
    assert whole.endswith(outputs[-1].data)
    assert len(output_of(events)) < 200_000


async def test_a_script_with_null_bytes_arrives_unchanged(way: Way, run_id: str) -> None:
    script = b'#!/bin/sh\ncat "$0"\nexit 0\n' + bytes(range(256)) * 40
    async with way.reach() as reached:
        events = await run(reached.host, run_id, script, head_bytes=20_000)

    assert script == output_of(events)


async def test_environment_directory_and_launcher_are_as_asked(way: Way, run_id: str) -> None:
    launcher = Secret("/bin/sh -e {{ACS::ScriptFileName}} 'one argument'")
    async with way.reach() as reached:
        events = await run(
            reached.host, run_id, 'pwd; echo "$1"; echo "$CA_RUN_ID"', cwd="/usr", launcher=launcher
        )

    assert ["/usr", "one argument", run_id] == output_of(events).decode().splitlines()


async def test_a_script_is_killed_at_its_timeout(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        events = await run(reached.host, run_id, "echo begun; sleep 600", timeout_s=5)

    assert ended(events).word is HostWord.TIMEOUT
    assert output_of(events) == b"begun\n"
    assert way.sshd.pids_of_run(run_id) == []


async def test_following_from_an_offset_brings_the_rest(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        await run(reached.host, run_id, "printf 0123456789")

        attachment = await reached.host.follow(run_id, user="", offset=4)
        events = [event async for event in attachment.events()]
        await attachment.close()

    assert attachment.greeting.state is HostState.DONE
    assert Output(offset=4, data=b"456789") == events[0]
    assert isinstance(events[-1], Ended)


async def test_following_what_never_started_says_so_and_has_no_events(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        attachment = await reached.host.follow(run_id, user="", offset=0)

        assert attachment.greeting.state is HostState.ABSENT
        assert [event async for event in attachment.events()] == []
        await attachment.close()


async def test_letting_go_leaves_the_run_alone(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        attachment = await reached.host.launch(run_id, user="")
        await attachment.begin(payload("sleep 600"))
        assert isinstance(await anext(attachment.events()), Started)

        await attachment.close()
        again = await reached.host.follow(run_id, user="", offset=0)

        assert again.greeting.state is HostState.RUNNING
        assert isinstance(await anext(again.events()), Started)
        await stopped(again, reached.host, run_id)


async def test_a_second_launch_starts_nothing(way: Way, run_id: str) -> None:
    """Faults 2 and 7, transport part."""
    async with way.reach() as reached:
        await run(reached.host, run_id, "true")

        again = await reached.host.launch(run_id, user="")

        assert again.greeting.state is HostState.DONE
        with pytest.raises(ValueError, match="not begun again"):
            await again.begin(payload("echo twice"))
        await again.close()


async def test_eight_launches_of_one_run_start_it_once(way: Way, run_id: str, tmp_path: Path) -> None:
    marks = tmp_path / "marks"

    async def deliver() -> None:
        async with way.reach() as reached:
            attachment = await reached.host.launch(run_id, user="")
            if attachment.greeting.state in (HostState.ABSENT, HostState.PREPARED):
                await attachment.begin(payload(f"echo x >> {marks}; sleep 0.1"))
                assert isinstance([event async for event in attachment.events()][-1], Ended)
            await attachment.close()

    await asyncio.gather(*(deliver() for _ in range(8)))

    assert marks.read_text() == "x\n"


async def test_a_running_script_is_stopped_with_its_children(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        attachment = await reached.host.launch(run_id, user="")
        await attachment.begin(payload("sleep 600 & sleep 600 & wait"))
        await asyncio.to_thread(eventually, lambda: len(way.sshd.pids_of_run(run_id)) >= 3, within=30)

        report = await reached.host.cancel(run_id, user="")

        assert report.state is HostState.DONE
        assert report.result is not None
        assert report.result.word is HostWord.CANCELED
        assert way.sshd.pids_of_run(run_id) == []
        assert isinstance([event async for event in attachment.events()][-1], Ended)
        await attachment.close()


async def test_a_stop_before_the_start_fences_the_run(way: Way, run_id: str) -> None:
    """Fault 10, transport part."""
    async with way.reach() as reached:
        report = await reached.host.cancel(run_id, user="")
        late = await reached.host.launch(run_id, user="")

        assert report.result is not None
        assert (report.result.word, report.result.code) == (HostWord.CANCELED, "NotStarted")
        assert late.greeting.state is HostState.DONE
        await late.close()


async def test_many_runs_are_collected_in_one_look(way: Way, run_id: str) -> None:
    done, running, absent = f"{run_id}1", f"{run_id}2", f"{run_id}3"
    async with way.reach() as reached:
        await run(reached.host, done, "printf abcdef; exit 1")
        attachment = await reached.host.launch(running, user="")
        await attachment.begin(payload("sleep 600"))
        assert isinstance(await anext(attachment.events()), Started)

        reports = await reached.host.collect({done: 2, running: 0, absent: 0}, user="")

        result = reports[done].result
        assert result is not None
        assert result.exit_code == 1
        assert [Output(offset=2, data=b"cdef")] == list(reports[done].output)
        assert (reports[running].state, reports[running].result) == (HostState.RUNNING, None)
        assert reports[absent].state is HostState.ABSENT
        await stopped(attachment, reached.host, running)


async def test_an_acknowledged_run_keeps_its_result_and_is_not_started_again(way: Way, run_id: str) -> None:
    """Fault 8, transport part."""
    async with way.reach() as reached:
        attachment = await reached.host.launch(run_id, user="")
        await attachment.begin(payload("echo gone soon"))
        assert isinstance([event async for event in attachment.events()][-1], Ended)

        await attachment.acknowledge()
        await attachment.close()

        async def bulk_is_gone() -> bool:  # nobody waits for the host to have dropped it
            return not (await reached.host.collect({run_id: 0}, user=""))[run_id].output

        await eventually_async(bulk_is_gone, within=30)
        report = (await reached.host.collect({run_id: 0}, user=""))[run_id]
        await reached.host.sweep(14)
        late = await reached.host.launch(run_id, user="")

        assert report.state is HostState.DONE
        assert list(report.output) == []
        assert late.greeting.state is HostState.DONE
        await late.close()


async def test_twenty_runs_are_followed_at_once_on_one_instance(way: Way, run_id: str) -> None:
    """More than sshd's MaxSessions allows on one connection."""
    async with way.reach() as reached:
        results = await asyncio.gather(
            *(run(reached.host, f"{run_id}{n}", f"sleep 0.5; echo {n}") for n in range(20))
        )

    assert [f"{n}\n".encode() for n in range(20)] == [output_of(events) for events in results]


async def test_a_stop_gets_through_while_many_runs_are_followed(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        attachments = []
        for n in range(10):
            attachments.append(await reached.host.launch(f"{run_id}{n}", user=""))
            await attachments[-1].begin(payload("sleep 600"))

        for n in range(10):
            report = await reached.host.cancel(f"{run_id}{n}", user="")
            assert report.state is HostState.DONE

        for attachment in attachments:
            assert isinstance([event async for event in attachment.events()][-1], Ended)
            await attachment.close()


async def test_only_the_process_is_killed_where_that_is_asked(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        events = await run(
            reached.host,
            run_id,
            "sleep 600 >/dev/null 2>&1 & sleep 600",
            mode=TerminationMode.PROCESS,
            timeout_s=5,
        )

        assert ended(events).word is HostWord.TIMEOUT
        children = way.sshd.pids_of_run(run_id)
        assert len(children) >= 1
        way.sshd.end(children)


async def test_a_missing_user_is_an_invalid_run(way: Way, run_id: str) -> None:
    async with way.reach() as reached:
        events = await run(reached.host, run_id, "true", user="nobody-of-that-name")

    assert (ended(events).word, ended(events).code) == (HostWord.INVALID, "AccountNotExists")


async def test_a_base_that_cannot_be_written_is_an_error_with_a_reason(way: Way) -> None:
    with pytest.raises(RunFailed) as failure:
        async with way.reach(way.instance(remote_base="/proc/nowhere")):
            pass

    assert failure.value.status is RunStatus.ERROR
    assert "i-1" in failure.value.info
    assert "writable" in failure.value.info


async def test_a_run_is_found_again_after_its_connection_was_cut(
    ssh: Way, run_id: str, tmp_path: Path
) -> None:
    """Fault 3: the server's side of the connection is killed while a run is followed."""
    gate = tmp_path / "gate"
    async with ssh.reach() as reached:
        attachment = await reached.host.launch(run_id, user="")
        await attachment.begin(payload(f"echo before; {until(gate)}; echo after"))
        events = attachment.events()
        while not isinstance(await anext(events), Output):
            pass

        ssh.sshd.cut_connections()
        with pytest.raises(LostContact, match=r"i-1 \(127\.0\.0\.2:"):
            [event async for event in events]
        await attachment.close()

    async with ssh.reach(facts=reached.facts) as again:
        attachment = await again.host.follow(run_id, user="", offset=7)
        gate.touch()
        rest = [event async for event in attachment.events()]
        await attachment.close()

    assert attachment.greeting.state is HostState.RUNNING
    assert output_of(rest) == b"after\n"
    assert ended(rest).exit_code == 0


async def test_a_kept_connection_that_died_unseen_is_replaced(ssh: Way, run_id: str) -> None:
    async with ssh.reach() as reached:
        ssh.sshd.cut_connections()

        events = await run(reached.host, run_id, "echo still here")

    assert output_of(events) == b"still here\n"
