"""Instances from CSV and from OpenSSH's client configuration: whole or not at all."""

import getpass
from pathlib import Path

import pytest

from cloudassist_tasks.cli.roster import BadRoster, check_jumps, read_roster
from cloudassist_tasks.domain.instance import Instance, OsType

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1fDCvUd1CzlPQgGMKZKOPVKzBYMNxU/2wEXyXDqKHn"


def read(tmp_path: Path, text: str, name: str = "hosts.csv") -> list[Instance]:
    path = tmp_path / name
    path.write_text(text)
    return read_roster(path, text)


def faults(tmp_path: Path, text: str, name: str = "hosts.csv") -> list[str]:
    with pytest.raises(BadRoster) as caught:
        read(tmp_path, text, name)
    return [str(fault) for fault in caught.value.faults]


def test_a_whole_row_is_read(tmp_path: Path) -> None:
    row = f'i-1,10.0.0.1,2222,deploy,/keys/id,{KEY} c,windows,"web, one",env=prod;tier=web'

    (instance,) = read(tmp_path, f"{row}\n")

    assert (instance.id, instance.host, instance.port, instance.user) == ("i-1", "10.0.0.1", 2222, "deploy")
    assert (instance.identity, instance.host_key) == ("/keys/id", KEY)
    assert (instance.os_type, instance.name) == (OsType.WINDOWS, "web, one")
    assert dict(instance.tags) == {"env": "prod", "tier": "web"}


def test_all_but_id_and_host_may_be_empty(tmp_path: Path) -> None:
    text = "instance_id,host,port,user,identity,host_key,os_type,name,tags\ni-1,10.0.0.1,,,,,,,\ni-2,web-2\n"

    first, second = read(tmp_path, text)

    assert (first.port, first.user, first.os_type, first.host_key) == (22, "root", OsType.LINUX, None)
    assert (second.id, second.host) == ("i-2", "web-2")


def test_a_header_may_leave_out_and_reorder_columns(tmp_path: Path) -> None:
    (instance,) = read(tmp_path, "\ufeffinstance_id,name,host\n\n# ours\ni-1,web,10.0.0.1\n")

    assert (instance.id, instance.name, instance.host) == ("i-1", "web", "10.0.0.1")


def test_every_fault_is_told_with_its_line_and_column(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "instance_id,host,port,user,identity,host_key,os_type,name,tags",
            "i-1,10.0.0.1,22x,,,,,,",
            "-bad-,,,,,,,,",
            "i-3,10.0.0.3,,,,ssh-ed25519 nonsense,beos,,a=1;a=2",
            "i-4,10.0.0.4",
            "i-4,10.0.0.5",
            "i-6,10.0.0.6,,,,,,,,one,more",
            "i-7,10.0.0.7,,a b",
        ]
    )

    told = faults(tmp_path, text)

    beginnings = [
        "hosts.csv:2: port: '22x'",
        "hosts.csv:3: instance_id: '-bad-'",
        "hosts.csv:3: host: is empty",
        "hosts.csv:4: host_key: ",
        "hosts.csv:4: os_type: 'beos'",
        "hosts.csv:4: tags: ",
        "hosts.csv:6: instance_id: i-4 stands in line 5 already",
        "hosts.csv:7: 11 columns, expected 9",
        "hosts.csv:8: ",
    ]
    assert len(told) == len(beginnings)
    for line, beginning in zip(told, beginnings, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no instance stands in it"),
        ("instance_id,host,colour\ni-1,h,red\n", "hosts.csv:1: unknown column 'colour'"),
        ("instance_id,name\ni-1,h\n", "the column host is missing"),
        ('i-1,"10.0.0.1\n', "this is no CSV"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in line for line in faults(tmp_path, text))


CONFIG = """
# jump
Host bastion
    HostName 10.0.0.1
    User jump
    Port=2222

Host web-1 web-2 *.internal
    HostName %h.example.org
    IdentityFile "~/my keys/%r_key"
    ProxyJump me@bastion:2222
    ForwardAgent yes

Host * !bastion
    User deploy
    Port 2200
    UserKnownHostsFile {known}
"""


def test_an_ssh_configuration_gives_its_aliases_with_what_applies_to_each(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[web-2.example.org]:2200 {KEY}\n")

    bastion, one, two = read(tmp_path, CONFIG.format(known=known), "config")

    assert (bastion.id, bastion.host, bastion.port, bastion.user) == ("bastion", "10.0.0.1", 2222, "jump")
    assert (one.id, one.host, one.port, one.user) == ("web-1", "web-1.example.org", 2200, "deploy")
    assert one.identity == str(Path("~/my keys/deploy_key").expanduser())
    assert one.jump == "bastion"
    assert one.host_key is None
    assert two.host_key == KEY


def test_a_host_without_a_user_is_logged_in_to_as_ssh_would(tmp_path: Path) -> None:
    (instance,) = read(tmp_path, "Host web\n", "config")

    assert instance.user == getpass.getuser()


def test_an_include_is_followed_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text("Host web\n  Port 2201\n")

    (instance,) = read(tmp_path, "Include conf.d/*.conf\nHost *\n  Port 22\n  User root\n", "config")

    assert (instance.id, instance.port, instance.user) == ("web", 2201, "root")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Host a\nMatch exec true\n", "config:2: match is not supported"),
        ("Host a\n  ProxyCommand nc %h %p\n", "config:2: proxycommand is not supported"),
        ("Host a\n  ProxyJump b,c\n", "config:2: ProxyJump names several hosts"),
        ("Host a\n  Port many\n", "config:2: Port 'many'"),
        ("Host a\n  HostName %C\n", "config:2: %C is not supported"),
        ('Host a\n  User "x\n', "config:2: a quotation mark is not closed"),
        ("Host a_b@c\n  User x\n", "config:1: 'a_b@c' is no instance id"),
        ("Host *\n  User x\n", "no instance stands in it"),
        ("Include config\n", "include each other without end"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    assert any(fault in line for line in faults(tmp_path, text, "config"))


def test_a_jump_must_be_imported_or_registered(tmp_path: Path) -> None:
    instances = read(tmp_path, "Host web\n  ProxyJump gate\n", "config")

    check_jumps(instances, registered=lambda instance_id: instance_id == "gate")
    with pytest.raises(BadRoster, match="ProxyJump gate is no instance"):
        check_jumps(instances, registered=lambda _: False)
