"""The options by which `run` and `command run` make a schedule in place of running at once."""

import re
from dataclasses import dataclass
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
    typer.Option("--at", metavar="TIME", help="Run once, then: 'yyyy-MM-dd HH:mm:ss [zone]', default UTC."),
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
            return self.at if "(" in self.at else f"at({_as_documented(self.at)})"
        return self.cron


def _as_documented(time: str) -> str:
    """ISO 8601 is what many write, and what we print: 2026-12-31T23:00:00Z is 2026-12-31 23:00:00 UTC."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(Z?)$", _with_blank, time)


def _with_blank(iso: re.Match[str]) -> str:
    day, clock, utc = iso.groups()
    return f"{day} {clock}{' UTC' if utc else ''}"
