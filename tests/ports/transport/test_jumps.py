"""Instances behind others: each hop has its own strict key."""

import pytest

from cloudassist_tasks.domain.errors import ErrorCode, Unreachable
from tests.ports.transport.peers import closed_port
from tests.ports.transport.ways import Way, ended, output_of, run
from tests.support.sshd import Sshd, private_sshd


async def test_an_instance_is_reached_through_two_others(ssh: Way, own_sshd: Sshd) -> None:
    outer = ssh.sshd.instance("i-outer", "127.0.6.1")
    inner = ssh.sshd.instance("i-inner", "127.0.6.2")
    way = Way(ssh.name, own_sshd, ssh.transports)

    async with way.reach(way.instance("i-far", "127.0.6.3"), jump=[outer, inner]) as reached:
        events = await run(reached.host, f"t-jump.{ssh.name}.0", "echo through; exit 4")

    assert output_of(events) == b"through\n"
    assert ended(events).exit_code == 4


async def test_a_jump_host_with_a_changed_key_is_refused(ssh: Way, own_sshd: Sshd) -> None:
    jump = ssh.sshd.instance("i-jump", "127.0.6.1", host_key=own_sshd.host_key)
    with pytest.raises(Unreachable, match="host key of i-jump") as failure:
        async with ssh.reach(ssh.instance("i-far"), jump=[jump]):
            pass

    assert failure.value.code is ErrorCode.CLIENT_NOT_ONLINE


async def test_a_far_instance_with_a_changed_key_is_refused(ssh: Way, own_sshd: Sshd) -> None:
    far = ssh.instance("i-far", "127.0.6.3", host_key=own_sshd.host_key)
    with pytest.raises(Unreachable, match="host key of i-far"):
        async with ssh.reach(far, jump=[ssh.instance("i-jump", "127.0.6.1")]):
            pass


async def test_a_closed_port_behind_a_jump_host_is_the_far_instances_fault(ssh: Way) -> None:
    """paramiko keeps the jump host's reason to itself: a closed port is no route to it."""
    code = ErrorCode.CLIENT_NOT_RUNNING if ssh.name == "asyncssh" else ErrorCode.CLIENT_NETWORK_BLOCKED
    with closed_port() as port:
        far = ssh.instance("i-far", "127.0.6.3", port=port)
        with pytest.raises(Unreachable, match="i-far") as failure:
            async with ssh.reach(far, jump=[ssh.instance("i-jump", "127.0.6.1")]):
                pass

    assert (failure.value.code, failure.value.retry_helps) == (code, True)


async def test_a_jump_host_that_forwards_nothing_is_told(ssh: Way) -> None:
    with private_sshd(AllowTcpForwarding="no") as closed:
        jump = closed.instance("i-jump", "127.0.6.1")
        with pytest.raises(Unreachable, match="seen from i-jump") as failure:
            async with ssh.reach(ssh.instance("i-far", "127.0.6.3"), jump=[jump]):
                pass
        await ssh.transports.close()

    assert failure.value.code is ErrorCode.CLIENT_NETWORK_BLOCKED


async def test_many_behind_one_jump_host_share_its_connection(ssh: Way, own_sshd: Sshd) -> None:
    jump = own_sshd.instance("i-jump", "127.0.6.1")
    for number in range(1, 6):
        async with ssh.reach(ssh.instance(f"i-{number}", f"127.0.7.{number}"), jump=[jump]):
            pass

    assert own_sshd.log.read_text().count("Accepted publickey") == 1
