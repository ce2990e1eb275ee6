"""What a host says of its time zone: by name where it has one, by its distance from UTC where that is all."""

from pathlib import Path

import pytest

from tests.support.etc import PrivateEtc
from tests.support.remote import NONCE, STANDARD_PATH, Host, prepared

LOCALTIME, NAME, RED_HAT = "localtime", "timezone", "sysconfig/clock"


def tz_file(footer: str, offset_s: int = 0) -> bytes:
    """A compiled zone without a change in the past; what matters of it is its last line."""
    header = b"TZif2" + bytes(15)
    counts = (0, 0, 0, 0, 1, 4)
    kind = offset_s.to_bytes(4, "big", signed=True) + bytes(2)
    block = b"".join(count.to_bytes(4, "big") for count in counts) + kind + b"XXX\0"
    return (header + block) * 2 + f"\n{footer}\n".encode()


def zone(host: Host, **environment: str) -> str:
    host.environment.pop("TZ", None)
    host.environment.update(environment)
    return host.call("ping", NONCE)[-1]["zone"]


@pytest.fixture
def etc(tmp_path: Path) -> PrivateEtc:
    return PrivateEtc(tmp_path)


@pytest.mark.parametrize("shell", ["dash", "bash", "mksh", "busybox sh"])
def test_each_shell_finds_what_there_is(shell: str, etc: PrivateEtc, busybox_path: str) -> None:
    path = busybox_path if shell == "busybox sh" else STANDARD_PATH
    with prepared(shell, prefix=etc.within, path=path) as host:
        nothing = zone(host)
        etc.move_to("Asia/Shanghai")
        linked = zone(host, TZ="America/New_York")
        etc.write(NAME, b"Europe/Berlin\n")
        named = zone(host)
        etc.write(RED_HAT, b'# of old\nUTC=true\nZONE="America/Argentina/Buenos_Aires"\nARC=false\n')
        red_hat = zone(host)
        etc.forget_zone()
        of_login = [zone(host, TZ=text) for text in (":Asia/Tokyo", "UTC", "CST-8", "<-0330>3:30")]

    assert (host.facts["zone"], nothing) == ("UTC", "UTC")
    assert (linked, named) == ("Asia/Shanghai", "Europe/Berlin")
    assert red_hat == "America/Argentina/Buenos_Aires"
    assert of_login == ["Asia/Tokyo", "UTC", "GMT+8:00", "GMT-3:30"]


def test_preparing_says_it_too(etc: PrivateEtc) -> None:
    etc.move_to("Asia/Shanghai")

    with prepared("dash", prefix=etc.within) as host:
        assert host.facts["zone"] == "Asia/Shanghai"


@pytest.mark.parametrize(
    "link",
    [
        "../usr/share/zoneinfo/Asia/Shanghai",
        "/etc/zoneinfo/Asia/Shanghai",
        "/usr/share/zoneinfo/right/Asia/Shanghai",
    ],
)
def test_a_link_may_lead_to_any_data_base_of_zones(etc: PrivateEtc, link: str) -> None:
    (etc.directory / LOCALTIME).symlink_to(link)

    with prepared("dash", prefix=etc.within) as host:
        assert zone(host) == "Asia/Shanghai"


@pytest.mark.parametrize(
    ("footer", "offset_s", "said"),
    [
        ("CST-8", 28_800, "GMT+8:00"),
        ("<-0330>3:30", -12_600, "GMT-3:30"),
        ("UTC0", 0, "UTC"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 3_600, ""),
        ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 37_800, ""),
        ("", 28_800, ""),
    ],
)
def test_a_copied_zone_is_told_by_its_distance_unless_that_changes(
    etc: PrivateEtc, footer: str, offset_s: int, said: str
) -> None:
    etc.write(LOCALTIME, tz_file(footer, offset_s))

    with prepared("dash", prefix=etc.within) as host:
        assert zone(host) == said


def test_a_copied_zone_of_the_old_format_is_not_guessed(etc: PrivateEtc) -> None:
    etc.write(LOCALTIME, tz_file("CST-8").split(b"\n")[0])

    with prepared("dash", prefix=etc.within) as host:
        assert zone(host) == ""


@pytest.mark.parametrize("text", ["CET", "EST5EDT", "CET-1CEST,M3.5.0,M10.5.0/3", "a b=c", "x\ny"])
def test_what_is_no_name_of_one_zone_is_not_guessed(etc: PrivateEtc, text: str) -> None:
    with prepared("dash", prefix=etc.within) as host:
        assert zone(host, TZ=text) == ""


def test_a_name_never_breaks_the_answer(etc: PrivateEtc) -> None:
    with prepared("dash", prefix=etc.within) as host:
        etc.write(NAME, b"Asia/Shang hai out=7\n")
        answer = host.call("ping", NONCE)[-1]

    assert (answer["zone"], answer["out"], answer["user"]) == ("", "0", "root")
