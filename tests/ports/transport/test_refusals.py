"""What keeps us from an instance: each has its code, names the instance, and says whether to try again."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from cloudassist_tasks.domain.instance import Instance, TransportKind
from cloudassist_tasks.transports.choose import Transports
from cloudassist_tasks.transports.limits import ConnectLimits
from cloudassist_tasks.transports.ssh import gate
from tests.ports.transport.peers import closed_port, full_listener, talker
from tests.ports.transport.ways import PATIENT, Way, ended, run, transports
from tests.support.eventually import eventually_async
from tests.support.sshd import make_key

SHORT = ConnectLimits(connect_s=0.5, banner_s=0.5, auth_s=10, banner_tries=2, banner_pause_s=0.01)


@asynccontextmanager
async def short(way: Way, **patient: Any) -> AsyncIterator[Way]:
    """The same way with deadlines that a test can wait for, and `patient` where it waits for another."""
    made = Way(way.name, way.sshd, transports(way.name, replace(SHORT, **patient)))
    try:
        yield made
    finally:
        await made.transports.close()


async def refusal(way: Way, instance: Instance) -> Unreachable:
    """What reaching the instance raises."""
    with pytest.raises(Unreachable) as failure:
        async with way.reach(instance):
            pass
    assert str(instance.id) in failure.value.info
    return failure.value


def says(failure: Unreachable, code: ErrorCode, *, retry_helps: bool, text: str = "") -> bool:
    """Whether it has this code, and this in its text."""
    assert (failure.code, failure.retry_helps) == (code, retry_helps), failure.info
    assert text in failure.info
    return True


async def test_a_changed_host_key_is_refused_with_both_fingerprints(ssh: Way, tmp_path: Path) -> None:
    """Fault 40."""
    other = make_key(tmp_path / "other")

    failure = await refusal(ssh, ssh.instance(host_key=other))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="registered is SHA256:")
    assert f"host key of i-1 (127.0.0.2:{ssh.sshd.port}) is SHA256:" in failure.info


async def test_a_host_key_of_a_type_that_the_host_has_not_is_refused(ssh: Way, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other", kind="ecdsa")

    failure = await refusal(ssh, ssh.instance(host_key=other))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="host key")


async def test_a_host_without_a_registered_key_is_refused(ssh: Way) -> None:
    failure = await refusal(ssh, ssh.instance(host_key=None))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="--trust-on-first-use")


async def test_a_registered_key_that_is_no_key_is_refused(ssh: Way) -> None:
    failure = await refusal(ssh, ssh.instance(host_key="ssh-ed25519 nonsense"))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="cannot be read")


async def test_on_first_use_the_key_seen_is_handed_out_to_be_recorded(ssh: Way) -> None:
    trusting = ssh.instance(host_key=None, trust_on_first_use=True)
    async with ssh.reach(trusting) as reached:
        assert reached.host_key == ssh.sshd.host_key

    async with ssh.reach() as reached:
        assert reached.host_key is None


async def test_a_key_that_is_not_authorized_is_refused(ssh: Way, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")

    failure = await refusal(ssh, ssh.instance(identity=str(tmp_path / "stranger")))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="refuses the login of root")


async def test_a_missing_identity_is_named(ssh: Way, tmp_path: Path) -> None:
    failure = await refusal(ssh, ssh.instance(identity=str(tmp_path / "absent")))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="No such file")


async def test_an_encrypted_identity_is_named(ssh: Way, tmp_path: Path) -> None:
    make_key(tmp_path / "locked", passphrase="correct horse")

    failure = await refusal(ssh, ssh.instance(identity=str(tmp_path / "locked")))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="passphrase")


async def test_without_any_identity_nothing_is_offered(
    ssh: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    failure = await refusal(ssh, ssh.instance(identity=None))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="no identity")


async def test_default_keys_of_the_worker_are_tried(
    ssh: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    ssh.sshd.authorize(make_key(tmp_path / ".ssh" / "id_ed25519"))

    async with ssh.reach(ssh.instance(identity=None)) as reached:
        assert reached.facts.uid == 0


async def test_the_agent_logs_in(ssh: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    agent = tmp_path / "agent"

    async def listens() -> bool:  # its file is there a little earlier
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(agent)) == 0

    process = await asyncio.create_subprocess_exec("ssh-agent", "-D", "-a", str(agent))
    try:
        await eventually_async(listens, within=30)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
        adding = await asyncio.create_subprocess_exec("ssh-add", "-q", ssh.sshd.identity)
        assert await adding.wait() == 0

        async with ssh.reach(ssh.instance(identity=None)) as reached:
            assert reached.facts.uid == 0
    finally:
        process.terminate()
        await process.wait()


async def test_a_closed_port_is_a_client_that_does_not_run(ssh: Way) -> None:
    """Fault 40."""
    with closed_port() as port:
        failure = await refusal(ssh, ssh.instance(port=port))

    assert says(failure, ErrorCode.CLIENT_NOT_RUNNING, retry_helps=True, text="is sshd up")


async def test_a_name_that_does_not_resolve_is_a_blocked_network(ssh: Way) -> None:
    failure = await refusal(ssh, ssh.instance(host="no-such-host.invalid"))

    assert says(failure, ErrorCode.CLIENT_NETWORK_BLOCKED, retry_helps=True, text="no-such-host.invalid")


async def test_a_black_hole_is_a_blocked_network(ssh: Way) -> None:
    with full_listener() as port:
        async with short(ssh) as way:
            failure = await refusal(way, ssh.instance(host="127.0.0.1", port=port))

    assert says(failure, ErrorCode.CLIENT_NETWORK_BLOCKED, retry_helps=True, text="within 0.5 s")


async def test_whoever_reaches_a_black_hole_is_told_of_its_silence(
    ssh: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "SILENT_AFTER_S", 0.05)
    told = [asyncio.Event() for _ in range(3)]
    with full_listener() as port:
        async with short(ssh) as way:
            instance = ssh.instance(host="127.0.0.1", port=port)

            async def reach(silence: asyncio.Event, *, after: asyncio.Event | None = None) -> None:
                if after is not None:
                    await after.wait()
                with pytest.raises(Unreachable):
                    async with way.reach(instance, on_silence=silence.set):
                        pass

            await asyncio.gather(reach(told[0]), reach(told[1]), reach(told[2], after=told[0]))

    assert all(silence.is_set() for silence in told)


async def test_a_server_that_says_nothing_does_not_respond(ssh: Way) -> None:
    async with talker(b"") as port, short(ssh, connect_s=30) as way:
        failure = await refusal(way, ssh.instance(host="127.0.0.1", port=port))

    assert says(failure, ErrorCode.CLIENT_NOT_RESPONSE, retry_helps=True, text="within 0.5 s")


async def test_a_server_that_stops_after_its_banner_does_not_respond(ssh: Way) -> None:
    async with talker(b"SSH-2.0-stall\r\n") as port, short(ssh, connect_s=30) as way:
        failure = await refusal(way, ssh.instance(host="127.0.0.1", port=port))

    assert says(failure, ErrorCode.CLIENT_NOT_RESPONSE, retry_helps=True)


async def test_a_server_that_hangs_up_before_its_banner_is_tried_again_and_then_given_up(ssh: Way) -> None:
    async with talker(b"", hang_up=True) as port, short(ssh, connect_s=30, banner_s=30) as way:
        failure = await refusal(way, ssh.instance(host="127.0.0.1", port=port))

    assert says(failure, ErrorCode.CLIENT_NOT_RESPONSE, retry_helps=True, text="MaxStartups")


async def test_a_server_that_is_no_sshd_does_not_respond(ssh: Way) -> None:
    said = b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200
    async with talker(said, hang_up=True) as port, short(ssh, connect_s=30, banner_s=30) as way:
        failure = await refusal(way, ssh.instance(host="127.0.0.1", port=port))

    assert failure.code is ErrorCode.CLIENT_NOT_RESPONSE


@pytest.mark.parametrize("reference", ["env:CA_TEST_ABSENT", "file:/nowhere/at/all", "plain text"])
async def test_a_password_that_cannot_be_had_is_named_by_its_reference(ssh: Way, reference: str) -> None:
    failure = await refusal(ssh, ssh.instance(identity=None, password=reference))

    assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="password")
    assert "plain text" not in failure.info


async def test_paramiko_says_that_it_knows_no_legacy_algorithms(ssh: Way) -> None:
    instance = ssh.instance(legacy_algorithms=True)
    if ssh.name == "paramiko":
        failure = await refusal(ssh, instance)
        assert says(failure, ErrorCode.CLIENT_NOT_ONLINE, retry_helps=False, text="asyncssh")
    else:
        async with ssh.reach(instance) as reached:
            assert ended(await run(reached.host, "t-legacy.i-1.0", "true")).exit_code == 0


async def test_local_is_refused_unless_it_was_allowed(ssh: Way) -> None:
    instance = ssh.sshd.instance("i-1", transport=TransportKind.LOCAL)
    with pytest.raises(Unreachable, match="CLOUDASSIST_ALLOW_LOCAL=1") as refused:
        async with Transports().reach(instance, facts=None):
            pass

    assert refused.value.code is ErrorCode.CLIENT_NOT_ONLINE
    assert not refused.value.retry_helps


async def test_whatever_is_refused_leaves_no_connection_counted(ssh: Way, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    one = Way(ssh.name, ssh.sshd, transports(ssh.name, replace(PATIENT, max_connections=1, connect_s=30)))
    for _ in range(3):
        await refusal(one, ssh.instance(identity=str(tmp_path / "stranger")))

    async with one.reach() as reached:
        assert reached.facts.uid == 0
    await one.transports.close()
