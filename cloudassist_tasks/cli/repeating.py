"""The options by which `run` and `command run` make a schedule in place of running at once."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cloudassist_tasks.cli.errors import BadUsage

Cron = Annotated[
    str | None,
    typer.Option(
        "--cron",
        metavar="EXPR",
        help="Run again and again: second minute hour day month weekday [year] [zone].",
    ),
]
Rate = Annotated[
    str | None, typer.Option("--rate", metavar="N[smhd]", help="Run every N seconds, minutes, hours, days.")
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Run once, then: 2026-12-31T23:00:00+08:00, or '2026-12-31 23:00:00 [zone]'; default UTC.",
    ),
]
OnNextBoot = Annotated[bool, typer.Option("--on-next-boot", help="Run once, when an instance next starts.")]
OnEveryBoot = Annotated[bool, typer.Option("--on-every-boot", help="Run each time that an instance starts.")]
Misfire = Annotated[
    str | None,
    typer.Option(
        "--misfire",
        metavar="skip|once",
        help="Of times missed while no beat was up; default skip, once: late.",
    ),
]
Jitter = Annotated[
    int | None,
    typer.Option("--jitter", metavar="S", min=0, help="Begin up to so many seconds after the time."),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone", metavar="ZONE", help="Of a cron expression that names none; `instance`: that of the hosts."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeating:
    """What was given of them; one of the first five at most."""

    cron: str | None = None
    rate: str | None = None
    at: str | None = None
    on_next_boot: bool = False
    on_every_boot: bool = False
    misfire: str | None = None
    jitter: int | None = None
    zone: str | None = None

    @property
    def wanted(self) -> bool:
        return self._ways != 0

    @property
    def _ways(self) -> int:
        return sum(map(bool, (self.cron, self.rate, self.at, self.on_next_boot, self.on_every_boot)))

    def request(self, *, dry_run: bool) -> dict[str, Any]:
        """The fields of the request that say when."""
        if self._ways > 1 or (self._ways and dry_run):
            raise BadUsage(
                "--cron, --rate, --at, --on-next-boot, --on-every-boot and --dry-run exclude each other;"
                " choose one"
            )
        if not self.wanted and (self.misfire or self.jitter or self.zone):
            raise BadUsage("--misfire, --jitter and --zone go with --cron, --rate or --at; give one of them")
        mode = (
            "DryRun" if dry_run
            else "NextRebootOnly" if self.on_next_boot
            else "EveryReboot" if self.on_every_boot
            else None
        )  # fmt: skip
        return {
            "repeat_mode": mode,
            "frequency": self._frequency(),
            "misfire": self.misfire,
            "jitter": self.jitter,
            "zone": self.zone,
        }

    def _frequency(self) -> str | None:
        if self.rate:
            return self.rate if "(" in self.rate else f"rate({self.rate})"
        if self.at:
            return self.at if "(" in self.at else _at(self.at)
        return self.cron


def _at(text: str) -> str:
    """As Frequency has it. A time with an offset is given in UTC; one without an offset and a zone is read in
    UTC, too. Fractions of a second do not count."""
    clock, _, zone = text.strip().rpartition(" ")
    if not zone[:1].isalpha():
        clock, zone = text.strip(), ""
    time = _time(clock)
    if time is None or (time.tzinfo and zone):
        raise BadUsage(
            f"--at {text!r} is no time; write it as 2026-12-31T23:00:00+08:00, or with a zone as"
            " '2026-12-31 23:00:00 Asia/Shanghai'"
        )
    zone = "UTC" if time.tzinfo else zone
    return f"at({time:%Y-%m-%d %H:%M:%S} {zone}".rstrip() + ")"


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time
    except (ValueError, OverflowError):
        return None
