"""A directory in the place of /etc for the processes of one test, so that their host has another time zone.

    etc = PrivateEtc(tmp_path)
    etc.move_to("Asia/Shanghai")
    with prepared("dash", prefix=etc.within) as host: ...

It is mounted in a namespace of theirs alone; what is changed in it they see at once.
"""

import shutil
from pathlib import Path

__all__ = ["PrivateEtc"]

KEPT = ("passwd", "group", "shadow", "nsswitch.conf", "ld.so.cache", "alternatives")
"""What programs and logins need of it."""

NAMES_OF_ZONES = ("localtime", "timezone", "sysconfig/clock")


class PrivateEtc:
    """It says nothing of a time zone at first."""

    def __init__(self, scratch: Path) -> None:
        self.directory = scratch / "etc"
        self.directory.mkdir(mode=0o755)
        for name in KEPT:
            original = Path("/etc") / name
            if original.is_dir():
                shutil.copytree(original, self.directory / name, symlinks=True)
            elif original.exists():
                shutil.copy2(original, self.directory / name)

    @property
    def within(self) -> list[str]:
        """Before a command: it sees this directory as /etc."""
        script = 'mount --bind "$0" /etc && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(self.directory)]

    def forget_zone(self) -> None:
        for name in NAMES_OF_ZONES:
            (self.directory / name).unlink(missing_ok=True)

    def move_to(self, zone: str) -> None:
        """As an administrator does it: by the link."""
        self.forget_zone()
        (self.directory / "localtime").symlink_to(f"/usr/share/zoneinfo/{zone}")

    def write(self, name: str, content: bytes) -> None:
        """Nothing else says the zone then."""
        self.forget_zone()
        file = self.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
