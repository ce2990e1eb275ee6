"""`cloudassist run`, and what it shares with `command run`, `invocation wait` and `retry`: see an
invocation through to its end.

Ctrl-C stops the invocation and waits until the stop is verified; a second one leaves at once.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from cloudassist_tasks.cli import options, repeating
from cloudassist_tasks.cli.errors import BadUsage, OperationFailed
from cloudassist_tasks.cli.exits import Exit
from cloudassist_tasks.cli.progress import Progress
from cloudassist_tasks.cli.render import As, asked_form, document, line, lines, note
from cloudassist_tasks.cli.results import (
    exit_of_state,
    print_results,
    result_json,
    verdict,
)
from cloudassist_tasks.cli.session import Session, live_workers, opened
from cloudassist_tasks.cli.watch import OnState, Watch
from cloudassist_tasks.client.summary import Summary
from cloudassist_tasks.contract.extensions import InvocationState
from cloudassist_tasks.contract.invocations import RunCommand, StopInvocation
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.parameters import has_placeholders
from cloudassist_tasks.domain.status import RunStatus

__all__ = ["Seeing", "run", "see_through"]

NO_WORKER_S = 5.0
"""After so long without a claim, a missing worker is told."""

PARAMETER_KINDS = frozenset(kind for kind in Kind if kind.startswith("Parameter"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeing:
    """How an invocation is to be seen through."""

    form: As
    wait_s: float | None = None
    detach: bool = False
    results: bool = True
    """Print outputs; else the verdict alone."""
    later: bool = False
    """It is a schedule: nothing runs yet, and there is nothing to wait for."""
    ours: bool = True
    """We began it: Ctrl-C stops it. Else Ctrl-C only ends the looking."""


def run(
    script: Annotated[str | None, typer.Argument(help="The script's text.", show_default=False)] = None,
    file: Annotated[str | None, typer.Option("--file", metavar="F", help="The script; - is stdin.")] = None,
    ids: options.Ids = None,
    tag: options.Tags = None,
    name: options.Name = None,
    everything: options.Everything = False,
    targets: options.TargetsFile = None,
    type_: options.Type = "shell",
    timeout: options.TimeoutS = None,
    user: options.User = None,
    cwd: options.Cwd = None,
    parameter: options.Values = None,
    no_parameters: Annotated[
        bool, typer.Option("--no-parameters", help="Leave {{…}} in the script as it is.")
    ] = False,
    max_concurrency: options.MaxConcurrency = None,
    max_errors: options.MaxErrors = None,
    client_token: options.Token = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="NAME", help="Keep the script as a command, too.")
    ] = None,
    webhook: options.Webhook = None,
    cron: repeating.Cron = None,
    rate: repeating.Rate = None,
    at: repeating.At = None,
    on_next_boot: repeating.OnNextBoot = False,
    on_every_boot: repeating.OnEveryBoot = False,
    misfire: repeating.Misfire = None,
    jitter: repeating.Jitter = None,
    zone: repeating.Zone = None,
    dry_run: options.DryRun = False,
    detach: options.Detach = False,
    wait: options.WaitS = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Run a script on instances, watch it, print what came of it.

    Exits 0 if all runs succeeded, 1 if some did not, 2 if it was refused, 3 if --wait was over, 130 if
    it was stopped.
    """
    repeats = repeating.Repeating(
        cron=cron,
        rate=rate,
        at=at,
        on_next_boot=on_next_boot,
        on_every_boot=on_every_boot,
        misfire=misfire,
        jitter=jitter,
        zone=zone,
    )
    when = repeats.request(dry_run=dry_run)
    seeing = Seeing(
        form=asked_form(as_json, as_ndjson),
        wait_s=wait,
        detach=detach or repeats.wanted,
        later=repeats.wanted,
    )
    content = options.script_of(script, file)
    selected = options.selection(ids, tag, name, everything, targets)
    values = options.pairs(parameter, "-p")
    with opened() as session:
        instance_ids = session.ask(selected).instance_id
        request = RunCommand(
            type=options.command_type(type_),
            command_content=options.base64_of(content),
            content_encoding="Base64",
            instance_id=instance_ids,
            name=keep,
            keep_command=keep is not None,
            timeout=timeout,
            username=user,
            working_dir=cwd,
            enable_parameter=has_placeholders(content) and not no_parameters,
            parameters=values or None,
            max_concurrency=max_concurrency,
            max_errors=max_errors,
            client_token=client_token or uuid.uuid4().hex,
            webhook=webhook,
            **when,
        )
        raise typer.Exit(see_through(session, lambda: _invoke_id(session, request), seeing))


def _invoke_id(session: Session, request: RunCommand) -> str:
    try:
        return session.ask(request).invoke_id
    except OperationFailed as failed:
        kind = failed.error.kind if isinstance(failed.error, Refused) else None
        if kind is Kind.PARAMETER_DISABLED:
            failed.hint = "{{name}} in the script is where the value of -p name=… goes"
        elif kind in PARAMETER_KINDS and not request.parameters:
            failed.hint = "or leave {{…}} as it is with --no-parameters"
        raise


def see_through(session: Session, begin: Callable[[], str], seeing: Seeing) -> Exit:
    """Begin an invocation and stay with it as asked for; the exit code."""
    if seeing.detach and seeing.wait_s is not None:
        raise BadUsage("--detach and --wait exclude each other; choose one")
    if seeing.later and seeing.wait_s is not None:
        raise BadUsage("--wait has nothing to wait for: a schedule runs later; leave it out")
    invoke_id = begin()
    if seeing.later:
        note(f"nothing runs yet; `cloudassist schedule show {invoke_id}` tells when, and what came of it")
    if seeing.detach:
        _print_id(invoke_id, seeing.form)
        return Exit.SUCCESS
    watch = Watch(session, invoke_id)
    try:
        return session.wait(_see(watch, seeing))
    except KeyboardInterrupt:
        if not seeing.ours:
            note(f"{invoke_id} goes on; `cloudassist invocation stop {invoke_id}` stops it")
            return Exit.STOPPED
        return _stop_and_wait(watch, seeing)


def _print_id(invoke_id: str, form: As) -> None:
    if form is As.TEXT:
        line(invoke_id)
    elif form is As.JSON:
        document({"invoke_id": invoke_id})
    else:
        lines([{"invoke_id": invoke_id}])


def _stop_and_wait(watch: Watch, seeing: Seeing) -> Exit:
    note(f"stopping {watch.invoke_id}; Ctrl-C again leaves it to itself")
    try:
        watch.session.ask(StopInvocation(invoke_id=watch.invoke_id))
        watch.session.wait(_see(watch, Seeing(form=seeing.form, results=seeing.results), again=True))
    except KeyboardInterrupt:
        note(f"left; `cloudassist invocation wait {watch.invoke_id}` waits for it")
    return Exit.STOPPED


async def _see(watch: Watch, seeing: Seeing, again: bool = False) -> Exit:
    with Progress(live=seeing.form is not As.NDJSON or not sys.stdout.isatty()) as progress:
        on_state = _Looks(watch.session, progress).show
        if not again:
            state = await watch.state()
            note(f"{watch.invoke_id} on {_count(state.total)}")
        try:
            async with asyncio.timeout(seeing.wait_s):
                if seeing.form is As.NDJSON:
                    state = await _stream(watch, on_state)
                else:
                    state = await watch.until_closed(on_state)
        except TimeoutError:
            return await _waited_too_long(watch, seeing)
    await _print(watch, state, seeing)
    note(verdict(state, progress.elapsed_s()))
    return exit_of_state(state)


async def _stream(watch: Watch, on_state: OnState) -> InvocationState:
    """Each result as it ends."""
    showing = asyncio.create_task(watch.until_closed(on_state))
    try:
        async for run in watch.ended():
            lines([{"invoke_id": watch.invoke_id, **result_json(run)}])
        return await showing
    finally:
        showing.cancel()


async def _waited_too_long(watch: Watch, seeing: Seeing) -> Exit:
    if seeing.form is As.JSON:
        document((await watch.summary(output=True)).to_json())
    note(
        f"{watch.invoke_id} is not over after {seeing.wait_s:g} s and goes on;"
        f" `cloudassist invocation wait {watch.invoke_id}` waits for it,"
        f" `cloudassist invocation stop {watch.invoke_id}` stops it"
    )
    return Exit.WAITED


async def _print(watch: Watch, state: InvocationState, seeing: Seeing) -> None:
    if not seeing.results or seeing.form is As.NDJSON:
        return
    runs = await watch.runs(output=True)
    if seeing.form is As.JSON:
        document(Summary(state=state, instances=runs).to_json())
    else:
        print_results(runs)


class _Looks:
    """Shows progress, and says once when nothing moves because no worker is up."""

    def __init__(self, session: Session, progress: Progress) -> None:
        self.session = session
        self.progress = progress
        self.look_at = time.monotonic() + NO_WORKER_S

    async def show(self, state: InvocationState) -> None:
        await self.progress.show(state)
        waits = state.counts.get(RunStatus.PENDING, 0) == state.total
        if self.look_at and waits and time.monotonic() > self.look_at:
            self.look_at = 0.0
            if self.session.at_home and not await live_workers(self.session.plane):
                note("no worker is up: nothing runs yet; start one with `cloudassist up` or `… worker`")


def _count(number: int) -> str:
    return "1 instance" if number == 1 else f"{number:,} instances"
