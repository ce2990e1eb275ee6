"""`cloudassist schedule …`: when something would run, and what runs again by itself.

`next` asks nobody; the others are operations.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from cloudassist_tasks import config
from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.render import As, asked_form, document, fields, line, lines, note, table
from cloudassist_tasks.cli.session import opened
from cloudassist_tasks.contract.schedules import (
    DescribeRounds,
    DescribeSchedules,
    MissedItem,
    PauseSchedule,
    ResumeSchedule,
    RoundItem,
    RunScheduleNow,
    ScheduleItem,
)
from cloudassist_tasks.contract.times import time_text
from cloudassist_tasks.domain.schedule import Schedule, checked_schedule, fitting_timeout_s, needs_zone
from cloudassist_tasks.domain.schedule.fields import FIRST_YEAR, LAST_YEAR
from cloudassist_tasks.domain.schedule.host_zones import OF_HOSTS
from cloudassist_tasks.domain.schedule.zones import parse_zone

app = typer.Typer(no_args_is_help=True, help="When schedules run, and what became of them.")

PAGE = 50
ROUNDS_AT_ONCE = 1_000

InvokeId = Annotated[str, typer.Argument(metavar="ID", help="The invocation: t-…")]


@app.callback()
def schedule() -> None:
    """When schedules run, and what became of them."""


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
        str | None,
        typer.Option("--zone", metavar="ZONE", help="Of a cron expression that names none; default: as set."),
    ] = None,
    timeout: options.TimeoutS = None,
    as_json: options.Json = False,
) -> None:
    """The next times of an expression, or what is wrong with it. Nothing is opened or asked."""
    settings = config.load()
    limits, zone = settings.limits, zone or settings.schedule_zone
    if zone == OF_HOSTS:
        if needs_zone(expression):
            raise BadUsage(
                "the time zone is that of the instances, and none is asked here; give one: --zone ZONE"
            )
        zone = "UTC"
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


@app.command("ls")
def list_(as_json: options.Json = False, as_ndjson: options.Ndjson = False) -> None:
    """What runs again by itself, newest first."""
    form = asked_form(as_json, as_ndjson)
    found: list[ScheduleItem] = []
    with opened() as session:
        token: str | None = None
        while True:
            answer = session.ask(DescribeSchedules(max_results=PAGE, next_token=token))
            found += answer.schedules
            token = answer.next_token
            if not token:
                break
    if form is not As.TEXT:
        objects = [asdict(one) for one in found]
        document(objects) if form is As.JSON else lines(objects)
        return
    rows = [
        (
            one.invoke_id,
            one.state,
            one.next_time,
            one.words,
            str(one.rounds),
            one.last.invocation_status if one.last else "",
            str(one.missed),
        )
        for one in found
    ]
    table(("ID", "STATE", "NEXT", "WHEN", "ROUNDS", "LAST", "MISSED"), rows)


@app.command()
def show(invoke_id: InvokeId, as_json: options.Json = False) -> None:
    """One schedule: when it runs next, in words, and what came of the last round."""
    with opened() as session:
        [one] = session.ask(DescribeSchedules(invoke_id=invoke_id)).schedules
    if as_json:
        document(asdict(one))
        return
    last = one.last
    fields(
        [
            ("Schedule", one.invoke_id),
            ("State", f"{one.state} ({one.invocation_status})"),
            ("When", one.words),
            ("Frequency", one.frequency),
            ("Time zone", one.zone),
            ("Next", one.next_time),
            ("Missed", f"{one.missed} so far; misfire {one.misfire}" if one.misfire else ""),
            ("Jitter", f"{one.jitter} s" if one.jitter else ""),
            ("Instances", f"{one.instances:,}"),
            ("Command", f"{one.command_id} {one.command_name}".rstrip()),
            ("Created", one.creation_time),
            ("Rounds", str(one.rounds)),
            ("Last round", _round_text(last) if last else ""),
        ]
    )


def _round_text(one: RoundItem) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in one.counts.items())
    skipped = f", {one.skipped} left out" if one.skipped else ""
    return f"{one.round} for {one.due_time} ({one.why}): {counts or 'no run'}{skipped}"


@app.command()
def history(
    invoke_id: InvokeId,
    limit: Annotated[int, typer.Option(min=1, max=ROUNDS_AT_ONCE, help="How many, newest first.")] = 20,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """The rounds of a schedule, whom each left out, and the times that were missed."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        answer = session.ask(DescribeRounds(invoke_id=invoke_id, limit=limit))
    rounds, missed = answer.rounds, answer.missed
    if form is As.JSON:
        document({"rounds": [asdict(one) for one in rounds], "missed": [asdict(one) for one in missed]})
    elif form is As.NDJSON:
        lines(asdict(one) for one in rounds)
    else:
        table(
            ("ROUND", "FOR", "OPENED", "FINISHED", "WHY", "STATUS", "RUNS", "LEFT-OUT"),
            [
                (
                    str(one.round),
                    one.due_time,
                    one.opened_time,
                    one.finish_time,
                    one.why,
                    one.invocation_status,
                    str(one.total),
                    str(one.skipped),
                )
                for one in rounds
            ],
        )
        for one in missed:
            note(_missed_text(one))


_WHAT_WAS_DONE = {
    "once": "one round was run late",
    "paused": "nothing was run for them, since it was paused then",
    "changed": "nothing was run for them, since its Frequency was changed then",
}


def _missed_text(one: MissedItem) -> str:
    done = _WHAT_WAS_DONE.get(one.done, "nothing was run for them")
    return f"missed {one.count} from {one.first_time} to {one.last_time}, as no beat was up: {done}"


@app.command()
def pause(invoke_id: InvokeId) -> None:
    """Open no round until it is resumed; open runs go on."""
    with opened() as session:
        session.ask(PauseSchedule(invoke_id=invoke_id))
    note(f"{invoke_id} is paused; `cloudassist schedule resume {invoke_id}` goes on")


@app.command()
def resume(invoke_id: InvokeId) -> None:
    """Go on after a pause; what passed meanwhile is left out."""
    with opened() as session:
        next_time = session.ask(ResumeSchedule(invoke_id=invoke_id)).next_time
    note(f"{invoke_id} goes on" + (f"; next at {next_time}" if next_time else ""))


@app.command("run-now")
def run_now(invoke_id: InvokeId, as_json: options.Json = False) -> None:
    """Open a round now, beside the clock."""
    with opened() as session:
        answer = session.ask(RunScheduleNow(invoke_id=invoke_id))
    if as_json:
        document({"round": answer.round, "total": answer.total, "skipped": answer.skipped})
    else:
        line(str(answer.round))
        note(f"round {answer.round} on {answer.total:,}; left out, since a run is open: {answer.skipped:,}")
