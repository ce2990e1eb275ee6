"""Host keys as people have them at hand."""

import subprocess
from pathlib import Path

import pytest

from cloudassist_tasks.cli.host_key import known_keys, parse_host_key, read_host_key
from cloudassist_tasks.domain.errors import Refused
from tests.support.sshd import make_key

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1fDCvUd1CzlPQgGMKZKOPVKzBYMNxU/2wEXyXDqKHn"


@pytest.mark.parametrize(
    "line",
    [
        ED25519,
        f"{ED25519} root@web-1",
        f"web-1,10.0.0.4 {ED25519}",
        f"[10.0.0.4]:2222 {ED25519} a comment",
    ],
)
def test_a_key_line_is_read_with_or_without_hosts_and_a_comment(line: str) -> None:
    assert parse_host_key(line) == ED25519


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-rsa " + ED25519.split()[1],
        "@revoked * " + ED25519,
        "hello",
    ],
)
def test_what_is_no_key_is_refused_with_the_next_step(line: str) -> None:
    with pytest.raises(Refused, match="ssh-keyscan"):
        parse_host_key(line)


def test_of_a_file_with_several_keys_the_preferred_type_is_taken(tmp_path: Path) -> None:
    rsa, ed25519 = make_key(tmp_path / "rsa", kind="rsa"), make_key(tmp_path / "ed")
    scan = tmp_path / "scan"
    scan.write_text(f"# 10.0.0.4:22 SSH-2.0\n10.0.0.4 {rsa}\n10.0.0.4 {ed25519}\n")

    assert read_host_key(f"@{scan}") == ed25519


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nothing-here: No such file"):
        read_host_key(f"@{tmp_path}/nothing-here")


def test_a_hashed_line_is_found_by_host_and_port(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"[web-1]:2222 {ED25519}\n@cert-authority * {ED25519}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)

    keys = list(known_keys(file.read_text().splitlines()))

    assert len(keys) == 1
    assert keys[0].is_of("web-1", 2222)
    assert not keys[0].is_of("web-1", 22)
