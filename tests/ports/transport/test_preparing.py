"""The helper gets onto a host by itself, whatever its login shell prints, and however many come at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from cloudassist_tasks.transports.remote import helper_source
from tests.ports.transport.ways import Way, ended, forget_helper, output_of, run, transports
from tests.support.etc import PrivateEtc
from tests.support.sshd import Sshd, private_sshd

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


async def test_a_fresh_host_is_prepared_and_its_facts_are_told(way: Way) -> None:
    instance = way.instance(remote_base=str(way.sshd.directory / f"base-{way.name}"))
    async with way.reach(instance) as reached:
        facts = reached.facts

    assert reached.prepared
    assert (facts.uid, facts.user, facts.sudo) == (0, "root", False)
    assert facts.base == instance.remote_base
    assert facts.helper_version == helper_source.VERSION
    assert facts.boot_id == BOOT_ID


async def test_the_zone_of_a_host_is_asked_each_time(ssh: Way, tmp_path: Path) -> None:
    etc = PrivateEtc(tmp_path)
    with private_sshd(within=etc.within) as moving:
        own = Way(ssh.name, moving, transports(ssh.name))
        async with own.reach() as reached:
            etc.move_to("Asia/Shanghai")
            moved = await reached.host.zone()
            etc.write("timezone", b"../../No/Such\n")
            nowhere = await reached.host.zone()
        await own.transports.close()

    assert (reached.facts.zone, moved, nowhere) == ("UTC", "Asia/Shanghai", "")


async def test_known_facts_are_believed(way: Way) -> None:
    async with way.reach() as first:
        pass
    async with way.reach(facts=first.facts) as second:
        assert not second.prepared
        assert ended(await run(second.host, f"t-known.{way.name}.0", "true")).exit_code == 0


async def test_a_helper_of_another_version_is_replaced(way: Way) -> None:
    async with way.reach() as first:
        pass
    stale = replace(first.facts, helper_version="00000000", helper_path=f"{first.facts.base}/bin/ca-0.sh")
    again = Way(way.name, way.sshd, transports(way.name))

    async with again.reach(facts=stale) as second:
        assert second.prepared
        assert second.facts == first.facts
    await again.transports.close()


async def test_a_deleted_helper_is_installed_again_by_the_next_launch(way: Way) -> None:
    async with way.reach() as reached:
        forget_helper(way.sshd)

        events = await run(reached.host, f"t-deleted.{way.name}.0", "echo back")

    assert output_of(events) == b"back\n"


async def test_facts_of_another_machine_are_corrected_by_the_next_launch(way: Way) -> None:
    async with way.reach() as first:
        pass
    wrong = replace(first.facts, base="/nowhere", helper_path=f"/nowhere/bin/{helper_source.FILE_NAME}")
    again = Way(way.name, way.sshd, transports(way.name))

    async with again.reach(facts=wrong) as second:
        events = await run(second.host, f"t-wrong.{way.name}.0", "echo found")
        assert second.host.facts == first.facts
    await again.transports.close()

    assert output_of(events) == b"found\n"


async def test_preparing_again_on_demand_changes_nothing_for_the_host(way: Way) -> None:
    async with way.reach() as first:
        pass
    async with way.reach(facts=first.facts, prepare=True) as second:
        assert second.prepared
        assert second.facts == first.facts


async def test_many_prepare_one_machine_at_once(ssh: Way) -> None:
    base = str(ssh.sshd.directory / f"base-many-{ssh.name}")

    async def one(number: int) -> bytes:
        instance = ssh.instance(f"i-{number}", f"127.0.3.{number}", remote_base=base)
        async with ssh.reach(instance) as reached:
            return output_of(await run(reached.host, f"t-many.{instance.id}.0", f"echo {number}"))

    outputs = await asyncio.gather(*(one(number) for number in range(1, 21)))

    assert outputs == [f"{number}\n".encode() for number in range(1, 21)]


NOISY = (
    "printf 'Welcome!\\nCA1 is not an answer\\nno newline'; echo grumble >&2;"
    ' exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
)
MUTE = "echo This account only takes mail.; exit 0"


@pytest.fixture(scope="module")
def noisy_sshd() -> Iterator[Sshd]:
    with private_sshd(ForceCommand=NOISY) as server:
        yield server


@pytest.fixture(scope="module")
def mute_sshd() -> Iterator[Sshd]:
    with private_sshd(ForceCommand=MUTE) as server:
        yield server


@pytest.fixture(params=["asyncssh", "paramiko"])
async def noisy(request: pytest.FixtureRequest, noisy_sshd: Sshd) -> AsyncIterator[Way]:
    made = Way(request.param, noisy_sshd, transports(request.param))
    yield made
    await made.transports.close()


@pytest.fixture(params=["asyncssh", "paramiko"])
async def mute(request: pytest.FixtureRequest, mute_sshd: Sshd) -> AsyncIterator[Way]:
    made = Way(request.param, mute_sshd, transports(request.param))
    yield made
    await made.transports.close()


async def test_what_a_login_prints_is_not_taken_for_an_answer(noisy: Way) -> None:
    """Fault 39, harmless half."""
    async with noisy.reach() as reached:
        events = await run(reached.host, f"t-noise.{noisy.name}.0", "echo clean")

    assert output_of(events) == b"clean\n"


async def test_a_host_that_never_answers_is_quoted(mute: Way) -> None:
    """Fault 39: HostProtocol, with what was said instead."""
    with pytest.raises(Unreachable, match="This account only takes mail") as failure:
        async with mute.reach():
            pass

    assert (failure.value.code, failure.value.retry_helps) == (ErrorCode.CLIENT_NOT_RESPONSE, False)
    assert "HostProtocol" in failure.value.info
