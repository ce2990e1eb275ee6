"""Logins other than root: what they may run as whom, with sudo and without."""

import secrets
from collections.abc import Iterator

import pytest

from cloudassist_tasks.domain.errors import ErrorCode, RunFailed
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.outcome import HostWord
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.ports.transport import HostState, Started
from tests.ports.transport.ways import Way, ended, output_of, payload, run
from tests.support.sshd import private_sshd
from tests.support.users import User, private_user

PASSWORD = "only for this test 7"


@pytest.fixture(scope="module")
def plain() -> Iterator[User]:
    with private_user(password=PASSWORD) as user:
        yield user


@pytest.fixture(scope="module")
def admin() -> Iterator[User]:
    with private_user(sudo=True) as user:
        yield user


@pytest.fixture
def run_id() -> str:
    return f"t-{secrets.token_hex(6)}.i-1.0"


def as_user(way: Way, user: User) -> Instance:
    """The instance, reached as this user; the helper keeps its files in the user's home."""
    return way.instance(user=user.name, remote_base=str(user.home / "ca"))


async def test_a_plain_login_runs_as_itself(ssh: Way, plain: User, run_id: str) -> None:
    async with ssh.reach(as_user(ssh, plain)) as reached:
        assert (reached.facts.uid, reached.facts.user, reached.facts.sudo) == (plain.uid, plain.name, False)
        unnamed = await run(reached.host, run_id, "id -un; pwd")
        named = await run(reached.host, f"{run_id}1", "id -un", user=plain.name)

    assert output_of(unnamed).decode().splitlines() == [plain.name, str(plain.home)]
    assert output_of(named).decode().splitlines() == [plain.name]


@pytest.mark.parametrize("wanted", ["root", "daemon"])
async def test_without_sudo_no_other_user_can_be_had(ssh: Way, plain: User, run_id: str, wanted: str) -> None:
    async with ssh.reach(as_user(ssh, plain)) as reached:
        with pytest.raises(RunFailed, match=f"cannot run as {wanted}") as failure:
            await reached.host.launch(run_id, user=wanted)

    assert (failure.value.status, failure.value.code) == (
        RunStatus.INVALID,
        ErrorCode.USER_OR_PASSWORD_INVALID,
    )


async def test_with_sudo_a_run_is_roots_unless_another_user_is_wanted(
    ssh: Way, admin: User, run_id: str
) -> None:
    async with ssh.reach(as_user(ssh, admin)) as reached:
        assert reached.facts.sudo
        root = await run(reached.host, run_id, "id -un")
        other = await run(reached.host, f"{run_id}1", "id -un", user="daemon", cwd="/")
        itself = await run(reached.host, f"{run_id}2", "id -un", user=admin.name)
        again = await run(reached.host, f"{run_id}3", "id -un", user="root")

    assert [output_of(events) for events in (root, other, itself, again)] == [
        b"root\n",
        b"daemon\n",
        f"{admin.name}\n".encode(),
        b"root\n",
    ]


async def test_runs_through_sudo_are_followed_stopped_and_collected_there(
    ssh: Way, admin: User, run_id: str
) -> None:
    async with ssh.reach(as_user(ssh, admin)) as reached:
        attachment = await reached.host.launch(run_id, user="daemon")
        await attachment.begin(payload("sleep 600", user="daemon", cwd="/"))
        assert isinstance(await anext(attachment.events()), Started)
        await attachment.close()

        following = await reached.host.follow(run_id, user="daemon", offset=0)
        collected = (await reached.host.collect({run_id: 0}, user="daemon"))[run_id]
        report = await reached.host.cancel(run_id, user="daemon")
        events = [event async for event in following.events()]
        await following.close()
        await reached.host.acknowledge([run_id], user="daemon")
        await reached.host.sweep(14)

    assert following.greeting.state is HostState.RUNNING
    assert collected.state is HostState.RUNNING
    assert report.state is HostState.DONE
    assert ended(events).word is HostWord.CANCELED
    assert ssh.sshd.pids_of_run(run_id) == []


async def test_sudo_that_was_taken_away_is_a_failure_with_a_reason(ssh: Way, run_id: str) -> None:
    with private_user(sudo=True) as user:
        async with ssh.reach(as_user(ssh, user)) as reached:
            user.sudo_rule.unlink()

            with pytest.raises(RunFailed, match="SudoNotAvailable") as failure:
                await reached.host.launch(run_id, user="root")

    assert failure.value.status is RunStatus.INVALID


async def test_root_runs_as_another_user(way: Way, plain: User, run_id: str) -> None:
    async with way.reach() as reached:
        events = await run(reached.host, run_id, "id -un; pwd; echo $HOME", user=plain.name)

    assert output_of(events).decode().splitlines() == [plain.name, str(plain.home), str(plain.home)]


@pytest.mark.parametrize("kind", ["env", "file"])
async def test_a_password_by_reference_logs_in(
    ssh: Way, plain: User, run_id: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_sshd(PasswordAuthentication="yes") as server:
        monkeypatch.setenv("CA_TEST_PASSWORD", PASSWORD)
        file = server.directory / "password"
        file.write_text(PASSWORD + "\n")
        reference = "env:CA_TEST_PASSWORD" if kind == "env" else f"file:{file}"
        way = Way(ssh.name, server, ssh.transports)
        instance = way.instance(
            user=plain.name, identity=None, password=reference, remote_base=str(plain.home / "ca")
        )
        async with way.reach(instance) as reached:
            events = await run(reached.host, run_id, "id -un")
        await ssh.transports.close()

    assert output_of(events).decode().strip() == plain.name


async def test_a_wrong_password_is_refused_without_showing_it(
    ssh: Way, plain: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with private_sshd(PasswordAuthentication="yes") as server:
        monkeypatch.setenv("CA_TEST_PASSWORD", "guesswork")
        way = Way(ssh.name, server, ssh.transports)
        instance = way.instance(user=plain.name, identity=None, password="env:CA_TEST_PASSWORD")
        with pytest.raises(RunFailed, match="refuses the login") as failure:
            async with way.reach(instance):
                pass

    assert failure.value.code is ErrorCode.CLIENT_NOT_ONLINE
    assert "guesswork" not in failure.value.info
