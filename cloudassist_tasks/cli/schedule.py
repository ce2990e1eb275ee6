"""`cloudassist schedule …`: when something would run, in words and times."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cloudassist_tasks import config
from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.render import document, line, note, table
from cloudassist_tasks.contract.times import time_text
from cloudassist_tasks.domain.schedule import Schedule, checked_schedule, fitting_timeout_s
from cloudassist_tasks.domain.schedule.fields import FIRST_YEAR, LAST_YEAR
from cloudassist_tasks.domain.schedule.zones import parse_zone

app = typer.Typer(no_args_is_help=True, help="When schedules run.")


@app.callback()
def schedule() -> None:
    """When schedules run."""


@app.command("next")
def next_(
    expression: Annotated[
        str, typer.Argument(metavar="EXPRESSION", help="'0 */20 * * * *', 'rate(20m)' or 'at(…)'.")
    ],
    count: Annotated[int, typer.Option("--count", min=1, max=1_000, help="So many times.")] = 5,
    after: Annotated[
        str | None, typer.Option("--after", metavar="TIME", help="After this time, ISO 8601; default now.")
    ] = None,
    created: Annotated[
        str | None,
        typer.Option(
            "--created", metavar="TIME", help="When it was created: rates count from it; default --after."
        ),
    ] = None,
    zone: Annotated[
        str, typer.Option("--zone", metavar="ZONE", help="Of a cron expression that names none.")
    ] = "UTC",
    timeout: options.TimeoutS = None,
    as_json: options.Json = False,
) -> None:
    """The next times of an expression, or what is wrong with it. Nothing is opened or asked."""
    limits = config.load().limits
    after_ms = _milliseconds("--after", after)
    created_ms = after_ms if created is None else _milliseconds("--created", created)
    found = checked_schedule(expression, now_ms=after_ms, created_ms=created_ms, zone=zone, limits=limits)
    fitting_timeout_s(found, timeout, now_ms=after_ms, limits=limits)
    times = _times(found, after_ms, count)
    if as_json:
        document([time_text(time) for time in times])
        return
    line(found.describe())
    clock = parse_zone(found.zone)
    table(
        ("TIME", "LOCAL"),
        [(time_text(time), datetime.fromtimestamp(time // 1_000, clock.tz).isoformat()) for time in times],
    )
    if len(times) < count:
        note("there are no more")


def _times(found: Schedule, after_ms: int, count: int) -> list[int]:
    times: list[int] = []
    next_ms = found.next_after(after_ms)
    while next_ms is not None and len(times) < count:
        times.append(next_ms)
        next_ms = found.next_after(next_ms)
    return times


def _milliseconds(option: str, text: str | None) -> int:
    """Whole seconds, as times are shown. A time without an offset is UTC."""
    if text is None:
        return int(datetime.now(UTC).timestamp()) * 1_000
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadUsage(f"{option} {text!r} is no time; write it as 2026-01-01T00:00:00Z") from None
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise BadUsage(f"{option} {text!r} lies outside of {FIRST_YEAR} to {LAST_YEAR}")
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()) * 1_000
