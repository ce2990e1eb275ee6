"""`cloudassist invocation …`: list, show, wait, read output, stop, retry."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.exits import Exit
from cloudassist_tasks.cli.following import Followed
from cloudassist_tasks.cli.grouping import id_list
from cloudassist_tasks.cli.progress import Progress, counts_text
from cloudassist_tasks.cli.render import As, asked_form, document, fields, line, lines, note, table
from cloudassist_tasks.cli.results import result_json
from cloudassist_tasks.cli.run import Seeing, see_through
from cloudassist_tasks.cli.session import Session, opened
from cloudassist_tasks.cli.watch import Watch
from cloudassist_tasks.client.summary import Summary
from cloudassist_tasks.contract.extensions import DescribeRuns, InvocationState, RetryInvocation, RunState
from cloudassist_tasks.contract.invocations import DescribeInvocations, StopInvocation
from cloudassist_tasks.domain.errors import ErrorCode

app = typer.Typer(no_args_is_help=True, help="List, show, wait for, read, stop and retry invocations.")

PAGE = 50

InvokeId = Annotated[str, typer.Argument(metavar="ID", help="The invocation: t-…")]
OnInstances = Annotated[
    list[str] | None,
    typer.Option("-i", "--instance", metavar="ID", help="On this instance only; may be repeated."),
]


@app.command("ls")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    status: Annotated[str | None, typer.Option(help="In this state: Running, Failed, …")] = None,
    command: Annotated[str | None, typer.Option("--command", metavar="ID", help="Of this command.")] = None,
    instance: Annotated[
        str | None, typer.Option("-i", "--instance", metavar="ID", help="That touch this instance.")
    ] = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Invocations, newest first."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        states = session.wait(_newest(session, limit, status, command, instance))
    if form is not As.TEXT:
        objects = [_state_json(state) for state in states]
        document(objects) if form is As.JSON else lines(objects)
        return
    rows = [
        (
            state.invoke_id,
            state.creation_time,
            state.invocation_status,
            f"{state.ended:,}/{state.total:,}",
            state.command_name or state.command_id,
        )
        for state in states
    ]
    table(("ID", "CREATED", "STATUS", "ENDED", "COMMAND"), rows)


async def _newest(
    session: Session, limit: int, status: str | None, command: str | None, instance: str | None
) -> list[InvocationState]:
    found: list[str] = []
    token: str | None = None
    while len(found) < limit:
        answer = await session.send(
            DescribeInvocations(
                invoke_status=status,
                command_id=command,
                instance_id=instance,
                max_results=min(PAGE, limit - len(found)),
                next_token=token,
            )
        )
        found += [item.invoke_id for item in answer.invocations]
        token = answer.next_token
        if not token:
            break
    answers = await asyncio.gather(*(session.send(DescribeRuns(invoke_id=one)) for one in found))
    return [answer.invocation for answer in answers]


@app.command()
def show(
    invoke_id: InvokeId,
    instance: OnInstances = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """An invocation with its instances: states, exit codes, reasons."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        watch = Watch(session, invoke_id, instance or ())
        found = session.wait(watch.summary(output=form is not As.TEXT))
    if form is As.JSON:
        document(found.to_json())
    elif form is As.NDJSON:
        lines({"invoke_id": invoke_id, **result_json(run)} for run in found.instances)
    else:
        _print_state(found.state)
        line()
        _print_runs(found.instances)


def _print_state(state: InvocationState) -> None:
    fields(
        [
            ("Invocation", state.invoke_id),
            ("Status", f"{state.invocation_status} (classic: {state.invoke_status})"),
            ("Instances", f"{state.total:,} in {_batches(state.batches)}: {counts_text(state.counts)}"),
            ("Command", f"{state.command_id} {state.command_name}".rstrip() + f" ({state.command_type})"),
            ("Retry of", state.retry_of),
            ("Created", state.creation_time),
            ("Stop asked", state.stop_time),
            ("Finished", state.finish_time),
        ]
    )


def _reason(run: RunState) -> str:
    """The exit code has a column of its own."""
    return "" if run.error_code == ErrorCode.EXIT_CODE_NONZERO else run.error_info


def _batches(number: int) -> str:
    return "1 batch" if number == 1 else f"{number:,} batches"


def _print_runs(runs: Sequence[RunState]) -> None:
    rows = [
        (
            run.instance_id,
            run.invocation_status,
            "" if run.exit_code is None else str(run.exit_code),
            run.start_time,
            run.finish_time,
            f"{run.output_bytes:,}",
            ": ".join(part for part in (run.error_code, _reason(run)) if part),
        )
        for run in runs
    ]
    table(("INSTANCE", "STATUS", "EXIT", "STARTED", "FINISHED", "OUTPUT", "REASON"), rows)


@app.command()
def wait(
    invoke_id: InvokeId,
    wait_s: options.WaitS = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Wait until an invocation has ended; exits as `run` does. Ctrl-C leaves it running."""
    seeing = Seeing(
        form=asked_form(as_json, as_ndjson), wait_s=wait_s, results=as_json or as_ndjson, ours=False
    )
    with opened() as session:
        raise typer.Exit(see_through(session, lambda: invoke_id, seeing))


@app.command()
def logs(
    invoke_id: InvokeId,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the runs end.")] = False,
    instance: OnInstances = None,
    as_ndjson: options.Ndjson = False,
) -> None:
    """The output of the runs, with the instance before each line where there are several."""
    with opened() as session:
        watch = Watch(session, invoke_id, instance or ())
        several = len(instance or ()) > 1 or (not instance and session.wait(watch.state()).total > 1)
        printer = _Printer(invoke_id, prefix=several, ndjson=as_ndjson)
        session.wait(_print_logs(watch, printer, follow))


async def _print_logs(watch: Watch, printer: "_Printer", follow: bool) -> None:
    if follow:
        async for runs in watch.changed():
            for run in runs:
                printer.show(run)
    else:
        async for page in watch.pages(output=True):
            for run in page:
                printer.show(run)
                printer.finish(run)


class _Printer:
    """Prints what is new of each run; with a prefix only whole lines, so that none is torn."""

    def __init__(self, invoke_id: str, *, prefix: bool, ndjson: bool) -> None:
        self.invoke_id = invoke_id
        self.prefix = prefix
        self.ndjson = ndjson
        self.followed: dict[str, Followed] = {}
        self.begun: dict[str, str] = {}

    def show(self, run: RunState) -> None:
        """What came since the last time; the rest of a line once the run has ended, or the next round is
        there."""
        news = self._followed(run).news(run)
        if self.ndjson:
            if news:
                lines([{"invoke_id": self.invoke_id, "instance_id": run.instance_id, "output": news}])
            return
        text = self.begun.pop(run.instance_id, "") + news
        whole, newline, rest = text.rpartition("\n")
        if newline:
            for one in whole.split("\n"):
                line(self._prefixed(run, one))
        if rest:
            self.begun[run.instance_id] = rest
        if run.ended:
            self.finish(run)

    def finish(self, run: RunState) -> None:
        """A last line without its end."""
        if rest := self.begun.pop(run.instance_id, ""):
            line(self._prefixed(run, rest))

    def _followed(self, run: RunState) -> Followed:
        """Each round has a run of its own."""
        followed = self.followed.get(run.instance_id)
        if followed is None or followed.round != run.round:
            self.finish(run)
            followed = self.followed[run.instance_id] = Followed(round=run.round)
        return followed

    def _prefixed(self, run: RunState, text: str) -> str:
        return f"{run.instance_id} | {text}" if self.prefix else text


@app.command()
def stop(
    invoke_id: InvokeId,
    instance: OnInstances = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait until the stop is verified.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Stop an invocation, on all or some instances, and wait until it is seen to have stopped."""
    with opened() as session:
        watch = Watch(session, invoke_id, instance or ())
        watch_ids = tuple(instance or ())
        session.ask(StopInvocation(invoke_id=invoke_id, instance_id=watch_ids))
        if no_wait:
            note(f"asked {invoke_id} to stop; `cloudassist invocation wait {invoke_id}` waits for it")
            raise typer.Exit(Exit.SUCCESS)
        runs = session.wait(_until_stopped(watch))
        state = session.wait(watch.state())
    if as_json:
        document(Summary(state=state, instances=runs).to_json())
    else:
        note(f"{invoke_id} {state.invocation_status}: {counts_text(state.counts)}")
    raise typer.Exit(_stop_verdict(runs))


async def _until_stopped(watch: Watch) -> list[RunState]:
    """The runs once all of them have ended; says what it waits for."""
    with Progress() as progress:
        if not watch.instance_ids:
            await watch.until_closed(progress.show)
        else:
            await watch.until_ended()
        return await watch.runs(output=False)


def _stop_verdict(runs: list[RunState]) -> Exit:
    """A run whose host stayed silent is not known to have stopped."""
    unsure = [run.instance_id for run in runs if run.error_code == "TerminationException"]
    if unsure:
        note(f"not seen to stop: {id_list(unsure)}; the hosts did not answer, stopping goes on")
        return Exit.SOME_FAILED
    return Exit.SUCCESS


@app.command()
def retry(
    invoke_id: InvokeId,
    failed: Annotated[bool, typer.Option("--failed", help="The instances that did not succeed.")] = False,
    as_json: options.Json = False,
) -> None:
    """Run again where it did not succeed: a new invocation, whose id is printed."""
    if not failed:
        raise BadUsage("say what to run again: `cloudassist invocation retry ID --failed`")
    with opened() as session:
        new_id = session.ask(RetryInvocation(invoke_id=invoke_id)).invoke_id
    document({"invoke_id": new_id}) if as_json else line(new_id)


def _state_json(state: InvocationState) -> dict[str, object]:
    return {
        "invoke_id": state.invoke_id,
        "invocation_status": state.invocation_status,
        "invoke_status": state.invoke_status,
        "counts": dict(state.counts),
        "total": state.total,
        "batches": state.batches,
        "command_id": state.command_id,
        "command_name": state.command_name,
        "command_type": state.command_type,
        "retry_of": state.retry_of,
        "creation_time": state.creation_time,
        "stop_time": state.stop_time,
        "finish_time": state.finish_time,
    }
