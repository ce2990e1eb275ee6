"""An sshd or a host fails under a real worker: what ran there is what the store says, with the reason."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest

from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.ids import RunKey
from cloudassist_tasks.domain.status import RunStatus
from tests.engine.silence import silent_port
from tests.faults.machine import Machine, private_machine
from tests.faults.staff import IMPATIENT, Staff
from tests.support.eventually import eventually, eventually_async
from tests.support.gates import until
from tests.support.plane import Console, Installation
from tests.support.processes import end, mentioning
from tests.support.sshd import Sshd, make_key, private_sshd
from tests.support.users import private_user


@pytest.fixture(scope="module")
def staff(home: Installation) -> Iterator[Staff]:
    made = Staff(home)
    yield made
    made.close()


@pytest.fixture
async def console(home: Installation) -> AsyncIterator[Console]:
    """Thirty instances that are well."""
    async with home.console(30, emptied=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with private_machine() as made:
        yield made


async def register(console: Console, sshd: Sshd, instance_id: str, **changes: Any) -> None:
    await console.plane.store.instances.add([sshd.instance(instance_id, **changes)], replace=True)


async def one_fails(console: Console, key: RunKey, status: RunStatus, code: ErrorCode, text: str) -> None:
    """The run ends so, with the text in its reason, before its script began."""
    run = await console.reaches(key, status, within=60)
    assert (run.error_code, run.exit_code) == (code, None)
    assert text in run.error_info
    assert key.instance_id not in console.home.marked(key.invoke_id)


async def one_succeeds(console: Console, key: RunKey, output: bytes = b"") -> None:
    """The run ends well, and its script ran once."""
    run = await console.reaches(key, RunStatus.SUCCESS, within=60)
    assert (run.exit_code, await console.output(key)) == (0, output)
    assert console.home.marked(key.invoke_id)[key.instance_id] == 1


async def is_tidy(place: Path) -> None:
    """Await that the host has put away all but what it keeps of a run: it does so after its end is stored."""

    def keeps_no_more() -> bool:
        return {file.name for file in place.iterdir()} == {"result", "started"}

    await asyncio.to_thread(eventually, keeps_no_more, within=60)


# -- sshd


async def test_an_auth_failure_aborts_the_run_and_touches_no_other(
    console: Console, home: Installation, staff: Staff, tmp_path: Path
) -> None:
    staff.worker()
    make_key(tmp_path / "stranger")
    await console.register_one("i-locked", identity=str(tmp_path / "stranger"))

    locked, fine = await console.launch(home.marking(), "i-locked", "i-1")

    await one_fails(
        console, locked, RunStatus.ABORTED, ErrorCode.CLIENT_NOT_ONLINE, "refuses the login of root"
    )
    await one_succeeds(console, fine)
    assert await console.closed(fine.invoke_id) == {RunStatus.ABORTED: 1, RunStatus.SUCCESS: 1}


async def test_a_host_key_that_changes_under_a_known_host_stops_every_run_before_it_is_sent(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_sshd() as sshd:
        await register(console, sshd, "i-swapped")
        (before,) = await console.launch(home.marking(), "i-swapped")
        await one_succeeds(console, before)

        sshd.go_down()
        (sshd.directory / "host_ed25519").unlink()
        make_key(sshd.directory / "host_ed25519")
        sshd.start()
        (after,) = await console.launch(home.marking(), "i-swapped")

        await one_fails(
            console, after, RunStatus.ABORTED, ErrorCode.CLIENT_NOT_ONLINE, "registered is SHA256:"
        )


async def test_a_banner_stall_aborts_the_run_at_its_delivery_time(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker(**IMPATIENT)
    with silent_port() as port:
        await console.register_one("i-stalled", port=port)

        stalled, fine = await console.launch(home.marking(), "i-stalled", "i-1")

        await one_succeeds(console, fine)
        await one_fails(console, stalled, RunStatus.ABORTED, ErrorCode.DELIVERY_TIMEOUT, "i-stalled")


async def test_maxstartups_drops_delay_runs_and_lose_and_double_none(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_sshd(MaxStartups="3:60:6") as sshd:
        crowd = [f"i-crowd-{n}" for n in range(1, 41)]
        for n, name in enumerate(crowd, 1):
            await register(console, sshd, name, host=f"127.0.6.{n}")

        keys = await console.launch(home.marking(), *crowd)

        assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 40}
        assert home.marked(keys[0].invoke_id) == dict.fromkeys(crowd, 1)
        assert "MaxStartups" in sshd.log.read_text()


async def test_maxsessions_below_what_is_asked_for_delays_runs_and_doubles_none(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_sshd(MaxSessions="2") as sshd:
        await register(console, sshd, "i-narrow")

        launching = (console.launch(home.marking("sleep 0.3; echo ok"), "i-narrow") for _ in range(8))
        for [key] in await asyncio.gather(*launching):
            await one_succeeds(console, key, b"ok\n")
        assert "no more sessions" in sshd.log.read_text()


JUNK = """#!/bin/sh
printf 'Welcome!\\nCA1 is not an answer\\nno newline'; echo grumble >&2
exec /bin/sh "$@"
"""


async def test_a_login_shell_that_prints_junk_spoils_no_output(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    shell = home.directory / "junk"
    shell.write_text(JUNK)
    shell.chmod(0o755)
    with private_user(shell=str(shell)) as user:
        await console.register_one("i-junk", user=user.name, remote_base=str(user.home / "ca"))

        (key,) = await console.launch(home.marking("id -un"), "i-junk")

        await one_succeeds(console, key, f"{user.name}\n".encode())


async def test_a_login_shell_that_only_prints_junk_is_quoted(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_user(shell="/usr/sbin/nologin") as user:
        await console.register_one("i-mute", user=user.name, remote_base=str(user.home / "ca"))

        (key,) = await console.launch(home.marking(), "i-mute")

        await one_fails(console, key, RunStatus.ABORTED, ErrorCode.CLIENT_NOT_RESPONSE, "not available")


# -- disks


async def test_a_full_disk_starts_nothing_and_one_with_room_again_does(
    console: Console, home: Installation, staff: Staff, machine: Machine
) -> None:
    staff.worker()
    disk = machine.disk("full", "size=1m")
    await register(console, machine.sshd, "i-full", remote_base=str(disk))
    (before,) = await console.launch(home.marking(), "i-full")
    await one_succeeds(console, before)
    await is_tidy(machine.seen(disk / before.run_id))

    filler = machine.fill(disk)
    (refused,) = await console.launch(home.marking(), "i-full")
    await one_fails(console, refused, RunStatus.ERROR, ErrorCode.EXECUTION_EXCEPTION, "pace")
    filler.unlink()
    (after,) = await console.launch(home.marking("echo ok"), "i-full")

    await one_succeeds(console, after, b"ok\n")


async def test_a_disk_that_fills_up_during_the_run_costs_neither_exit_code_nor_output(
    console: Console, home: Installation, staff: Staff, machine: Machine
) -> None:
    staff.worker()
    disk = machine.disk("filling", "size=1m")
    await register(console, machine.sshd, "i-filling", remote_base=str(disk))
    script = home.marking(f"head -c 2000000 /dev/zero > {disk}/filler; echo intact; exit 3")

    (key,) = await console.launch(script, "i-filling")

    run = await console.reaches(key, RunStatus.FAILED, within=60)
    assert run.exit_code == 3
    assert (await console.output(key)).endswith(b"intact\n")
    assert home.marked(key.invoke_id) == {"i-filling": 1}


@pytest.mark.parametrize("end_by", ["stop", "timeout"])
async def test_a_script_that_filled_the_disk_ends_as_any_other(
    console: Console, home: Installation, staff: Staff, machine: Machine, end_by: str
) -> None:
    """What stopped it needs room on that disk to be said."""
    staff.worker()
    disk = machine.disk(f"filled-{end_by}", "size=1m")
    await register(console, machine.sshd, f"i-filled-{end_by}", remote_base=str(disk))
    script = home.marking(f"cat /dev/zero > {disk}/filler 2>/dev/null; echo filled; sleep 300")
    timeout_s = 15 if end_by == "timeout" else 60
    (key,) = await console.launch(script, f"i-filled-{end_by}", timeout_s=timeout_s)
    await eventually_async(lambda: console.output(key), within=60)

    if end_by == "stop":
        await console.stop(key.invoke_id)

    run = await console.reaches(key, RunStatus.TERMINATED, RunStatus.TIMEOUT, within=60)
    assert run.status == (RunStatus.TERMINATED if end_by == "stop" else RunStatus.TIMEOUT)
    assert home.processes_of(key.invoke_id, key.instance_id) == []
    assert await console.output(key) == b"filled\n"
    assert home.marked(key.invoke_id) == {key.instance_id: 1}


async def test_a_disk_that_turns_read_only_starts_nothing(
    console: Console, home: Installation, staff: Staff, machine: Machine
) -> None:
    staff.worker()
    disk = machine.disk("turning", "size=1m")
    await register(console, machine.sshd, "i-turning", remote_base=str(disk))
    (before,) = await console.launch(home.marking(), "i-turning")
    await one_succeeds(console, before)
    await is_tidy(machine.seen(disk / before.run_id))

    machine.run("mount", "-o", "remount,ro", str(disk))
    (key,) = await console.launch(home.marking(), "i-turning")

    await one_fails(console, key, RunStatus.ERROR, ErrorCode.EXECUTION_EXCEPTION, "ReadOnly")


async def test_a_noexec_disk_runs_every_kind_of_script(
    console: Console, home: Installation, staff: Staff, machine: Machine
) -> None:
    staff.worker()
    disk = machine.disk("noexec", "size=1m,noexec")
    await register(console, machine.sshd, "i-noexec", remote_base=str(disk))
    machine.run("cp", "/bin/true", f"{disk}/true")
    with pytest.raises(CalledProcessError, match="126"):
        machine.run(f"{disk}/true")

    (plain,) = await console.launch(home.marking("echo plain"), "i-noexec")
    (other,) = await console.launch("#!/bin/sh -e\n" + home.marking("echo other"), "i-noexec")

    await one_succeeds(console, plain, b"plain\n")
    await one_succeeds(console, other, b"other\n")


async def test_a_host_with_no_bash_fails_what_asks_for_it_and_runs_the_rest(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_machine() as machine:
        machine.without_bash()
        await register(console, machine.sshd, "i-plain")

        (wants,) = await console.launch("#!/bin/bash\n" + home.marking(), "i-plain")
        (fine,) = await console.launch(home.marking("echo ok"), "i-plain")

        await one_succeeds(console, fine, b"ok\n")
        run = await console.reaches(wants, RunStatus.FAILED, within=60)
        assert (run.error_code, run.exit_code) == (ErrorCode.EXIT_CODE_NONZERO, 127)
        assert home.marked(wants.invoke_id) == {}
        assert await console.output(wants)


# -- users


async def test_a_sudo_that_asks_for_a_password_invalidates_what_needs_it_and_nothing_else(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_user(password="only for this test 7") as user:
        user.sudo_rule.write_text(f"{user.name} ALL=(ALL:ALL) ALL\n")
        user.sudo_rule.chmod(0o440)
        await console.register_one("i-asks", user=user.name, remote_base=str(user.home / "ca"))

        (as_root,) = await console.launch(home.marking(), "i-asks", username="root")
        (as_itself,) = await console.launch(home.marking("id -un"), "i-asks")

        await one_fails(console, as_root, RunStatus.INVALID, ErrorCode.USER_OR_PASSWORD_INVALID, "root")
        await one_succeeds(console, as_itself, f"{user.name}\n".encode())


# -- the helper, and the host itself


async def test_a_reboot_mid_run_ends_it_as_restarted_and_never_runs_it_again(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_sshd() as sshd:
        sshd.start_with_boot_id("boot-a")
        await register(console, sshd, "i-boots")
        (key,) = await console.launch(home.marking("echo begun; sleep 300"), "i-boots")
        await eventually_async(lambda: console.output(key), within=60)

        sshd.go_down()
        sshd.boot("boot-b")
        sshd.start()

        run = await console.reaches(key, RunStatus.ERROR, within=60)
        assert (run.error_code, run.exit_code) == (ErrorCode.INSTANCE_RESTARTED, None)
        assert home.marked(key.invoke_id) == {"i-boots": 1}
        assert home.processes_of(key.invoke_id, "i-boots") == []
        (next_one,) = await console.launch(home.marking(), "i-boots")
        await one_succeeds(console, next_one)


async def test_a_helper_killed_with_its_run_is_an_interrupted_run_and_is_not_run_again(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    (key,) = await console.launch(home.marking("echo begun; sleep 300"))
    await eventually_async(lambda: console.output(key), within=60)

    end([_supervisor(home, key), *mentioning(key.run_id)], signal.SIGKILL)

    run = await console.reaches(key, RunStatus.ERROR, within=60)
    assert (run.error_code, run.exit_code) == (ErrorCode.EXECUTION_INTERRUPTED, None)
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_helper_killed_alone_leaves_the_script_its_end_whose_exit_code_nobody_claims(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    gate = home.directory / "orphan"
    (key,) = await console.launch(home.marking(f"{until(gate)}; echo end"))
    await console.reaches(key, RunStatus.RUNNING)

    end([_supervisor(home, key)], signal.SIGKILL)
    gate.touch()

    run = await console.reaches(key, RunStatus.ERROR, within=60)
    assert (run.error_code, run.exit_code) == (ErrorCode.EXECUTION_INTERRUPTED, None)
    assert await console.output(key) == b"end\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


def _supervisor(home: Installation, key: RunKey) -> int:
    """The helper's process that started the script, and would have said how it ended."""
    return int((home.sshd.base / key.run_id / "started").read_text().split()[1])


async def test_a_helper_deleted_during_a_run_is_put_back_for_the_next(
    console: Console, home: Installation, staff: Staff
) -> None:
    staff.worker()
    with private_sshd() as sshd:
        await register(console, sshd, "i-tidied")
        gate = home.directory / "tidied"
        waiting = home.marking(f"{until(gate)}; echo end")
        (going,) = await console.launch(waiting, "i-tidied")
        await console.reaches(going, RunStatus.RUNNING)

        for file in (sshd.base / "bin").iterdir():
            file.unlink()
        keys = [(await console.launch(home.marking("echo next"), "i-tidied"))[0] for _ in range(3)]
        for key in keys:
            await one_succeeds(console, key, b"next\n")
        gate.touch()

        await one_succeeds(console, going, b"end\n")
