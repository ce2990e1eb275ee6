"""What may be registered as an instance."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import Instance, TransportKind
from cloudassist_tasks.domain.registration import check_new, checked_instance, jump_path
from tests.unit.domain.refusals import refused


def host_key(key_type: str, inner: str | None = None) -> str:
    name = (inner or key_type).encode()
    blob = len(name).to_bytes(4, "big") + name + b"\0\0\0\x04data"
    return f"{key_type} {base64.b64encode(blob).decode()}"


PLAIN = Instance(id=InstanceId("i-1"), host="10.0.0.4")


def instance(name: str, **changes: Any) -> Instance:
    return replace(PLAIN, id=InstanceId(name), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": "a" * 64},
        {"id": "web.eu-1_b"},
        {"host": "web-1.example.org"},
        {"host": "localhost"},
        {"host": "fe80::1%eth0"},
        {"host": "2001:db8::1"},
        {"port": 65_535},
        {"user": "DOMAIN\\admin"},
        {"name": "Büro 3"},
        {"identity": "/home/me/.ssh/id_ed25519"},
        {"password": "env:DB_PASSWORD"},
        {"password": "file:/run/secrets/pw"},
        {"jump": "i-2"},
        {"remote_base": "/opt/ca-1"},
        {"tags": {"env": "prod"}},
        {"power_commands": {"reboot": "virsh reboot web"}},
        {"transport": TransportKind.LOCAL, "host": "localhost"},
        {"host_key": host_key("ssh-ed25519")},
        {"host_key": host_key("ecdsa-sha2-nistp256")},
        {"host_key": host_key("sk-ssh-ed25519@openssh.com")},
    ],
)
def test_a_sound_instance_is_kept_as_given(changes: dict[str, Any]) -> None:
    given = replace(PLAIN, **changes)

    assert given == checked_instance(given)


def test_the_comment_of_a_host_key_is_dropped() -> None:
    given = replace(PLAIN, host_key=f" {host_key('ssh-rsa')} root@web-1\n")

    assert host_key("ssh-rsa") == checked_instance(given).host_key


def test_an_empty_host_key_is_none() -> None:
    assert checked_instance(replace(PLAIN, host_key="")).host_key is None


@pytest.mark.parametrize(
    ("changes", "naming"),
    [
        ({"id": ""}, "id"),
        ({"id": "-x"}, "id"),
        ({"id": "a" * 65}, "id"),
        ({"id": "a b"}, "'a b'"),
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "-oProxyCommand=x"}, "host"),
        ({"host": "user@host"}, "host"),
        ({"port": 0}, "port 0"),
        ({"port": 70_000}, "port 70000"),
        ({"user": ""}, "user"),
        ({"user": "a b"}, "user"),
        ({"user": "-l"}, "user"),
        ({"name": "n" * 129}, "128"),
        ({"name": "a\nb"}, "name"),
        ({"identity": "/a\0b"}, "identity"),
        ({"password": "hunter2"}, "reference"),
        ({"password": "file:relative"}, "reference"),
        ({"jump": "i-1"}, "jump"),
        ({"transport": TransportKind.LOCAL, "jump": "i-2"}, "jump"),
        ({"remote_base": "relative"}, "remote base"),
        ({"remote_base": "/a b"}, "remote base"),
        ({"power_commands": {"explode": "x"}}, "explode"),
        ({"power_commands": {"stop": " "}}, "empty"),
        ({"power_commands": {"stop": "x"}, "transport": TransportKind.LOCAL}, "local"),
        ({"host_key": "AAAA"}, "host key"),
        ({"host_key": "ssh-ed25519"}, "host key"),
        ({"host_key": "ssh-ed25519 !!!!"}, "host key"),
        ({"host_key": host_key("ssh-ed25519", inner="ssh-rsa")}, "host key"),
        ({"host_key": "10.0.0.4 " + host_key("ssh-ed25519")}, "host key"),
    ],
)
def test_an_unsound_instance_is_refused_by_name(changes: dict[str, Any], naming: str) -> None:
    with refused(Kind.BAD_INSTANCE, naming=naming):
        checked_instance(replace(PLAIN, **changes))


def test_a_password_given_as_such_is_not_repeated() -> None:
    with pytest.raises(Exception) as caught:
        checked_instance(replace(PLAIN, password="hunter2"))

    assert "hunter2" not in str(caught.value)


def test_tags_follow_their_own_rules() -> None:
    with refused(Kind.BAD_TAG_KEY):
        checked_instance(replace(PLAIN, tags={"acs:x": "1"}))


def test_a_known_id_is_refused() -> None:
    with refused(Kind.INSTANCE_EXISTS, naming="i-2"):
        check_new([instance("i-1"), instance("i-2")], {InstanceId("i-2")})
    check_new([instance("i-1")], {InstanceId("i-2")})


def test_an_id_twice_in_one_import_is_refused() -> None:
    with refused(Kind.INSTANCE_EXISTS, naming="given twice: i-1;"):
        check_new([instance("i-1"), instance("i-1"), instance("i-1"), instance("i-2")], ())


def test_jump_hosts_come_in_the_order_in_which_they_are_passed() -> None:
    edge, inner, goal = instance("edge"), instance("inner", jump="edge"), instance("goal", jump="inner")
    by_id = {one.id: one for one in (edge, inner, goal)}

    assert [edge, inner] == jump_path(goal, by_id)
    assert jump_path(edge, by_id) == []


def test_an_unknown_jump_host_is_refused() -> None:
    with refused(Kind.BAD_INSTANCE, naming="nowhere"):
        jump_path(instance("i-1", jump="nowhere"), {})


def test_jump_hosts_in_a_circle_are_refused() -> None:
    a, b = instance("a", jump="b"), instance("b", jump="a")

    with refused(Kind.BAD_INSTANCE, naming="circle"):
        jump_path(a, {a.id: a, b.id: b})
