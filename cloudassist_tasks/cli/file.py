"""`cloudassist file …`: put a file on instances, and look at what was sent."""

import uuid
from dataclasses import replace
from pathlib import PurePath
from typing import Annotated

import typer

from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.progress import counts_text
from cloudassist_tasks.cli.render import As, asked_form, document, fields, line, lines, table
from cloudassist_tasks.cli.results import result_json
from cloudassist_tasks.cli.run import Seeing, see_through
from cloudassist_tasks.cli.session import Session, opened
from cloudassist_tasks.cli.watch import Watch
from cloudassist_tasks.contract.extensions import InvocationState, RunState
from cloudassist_tasks.contract.files import DescribeSendFileResults, FileItem, SendFile
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.file import whole_file_status
from cloudassist_tasks.domain.status import RunStatus

app = typer.Typer(no_args_is_help=True, help="Put a file on instances.")

PAGE = 50


@app.command()
def send(
    local_file: Annotated[str, typer.Argument(metavar="FILE", help="The file; - is stdin.")],
    target_dir: Annotated[
        str, typer.Argument(metavar="DIR", help="Where it goes, absolute; made where it is missing.")
    ],
    as_name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What it is called there; default: as here.")
    ] = None,
    ids: options.Ids = None,
    tag: options.Tags = None,
    name: options.Name = None,
    everything: options.Everything = False,
    targets: options.TargetsFile = None,
    owner: Annotated[str | None, typer.Option("--owner", metavar="USER", help="Default root.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="GROUP", help="Default root.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", metavar="OCTAL", help="Default 0644.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file of that name, or a link.")
    ] = False,
    timeout: options.TimeoutS = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is for.")] = None,
    max_concurrency: options.MaxConcurrency = None,
    max_errors: options.MaxErrors = None,
    client_token: options.Token = None,
    webhook: options.Webhook = None,
    detach: options.Detach = False,
    wait: options.WaitS = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Put a file on instances, as a whole or not at all; watch it, print what came of it.

    Exits as `run` does.
    """
    seeing = Seeing(form=asked_form(as_json, as_ndjson), wait_s=wait, detach=detach)
    if local_file == "-" and not as_name:
        raise BadUsage("standard input has no name; give one with --as NAME")
    content = options.read(local_file)
    if not content:
        raise BadUsage(f"{local_file} is empty; an empty file cannot be sent")
    selected = options.selection(ids, tag, name, everything, targets)
    with opened() as session:
        request = SendFile(
            name=as_name or PurePath(local_file).name,
            content=options.base64_of(content),
            content_type="Base64",
            target_dir=target_dir,
            instance_id=session.ask(selected).instance_id,
            file_owner=owner,
            file_group=group,
            file_mode=mode,
            overwrite=overwrite,
            timeout=timeout,
            description=description,
            max_concurrency=max_concurrency,
            max_errors=max_errors,
            client_token=client_token or uuid.uuid4().hex,
            webhook=webhook,
        )
        raise typer.Exit(see_through(session, lambda: session.ask(request).invoke_id, seeing))


@app.command("ls")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    status: Annotated[
        str | None, typer.Option(help="In this state: Pending, Running, Success, Failed, PartialFailed.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="GLOB", help="Of this name; '*' is a wildcard.")
    ] = None,
    instance: Annotated[
        str | None, typer.Option("-i", "--instance", metavar="ID", help="Sent to this instance.")
    ] = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Sent files, newest first."""
    form = asked_form(as_json, as_ndjson)
    asked = DescribeSendFileResults(name=name, invocation_status=status, instance_id=instance)
    with opened() as session:
        items = session.wait(_newest(session, asked, limit))
    if form is not As.TEXT:
        objects = [_file_json(item) for item in items]
        document(objects) if form is As.JSON else lines(objects)
        return
    rows = [
        (item.invoke_id, item.creation_time, item.invocation_status, f"{item.vm_count:,}", _path(item))
        for item in items
    ]
    table(("ID", "CREATED", "STATUS", "INSTANCES", "FILE"), rows)


async def _newest(session: Session, asked: DescribeSendFileResults, limit: int) -> list[FileItem]:
    found: list[FileItem] = []
    token: str | None = None
    while len(found) < limit:
        wanted = min(PAGE, limit - len(found))
        answer = await session.send(
            DescribeSendFileResults(
                name=asked.name,
                invocation_status=asked.invocation_status,
                instance_id=asked.instance_id,
                max_results=wanted,
                next_token=token,
            )
        )
        found += answer.invocations
        token = answer.next_token
        if not token:
            break
    return found


@app.command()
def show(
    invoke_id: Annotated[str, typer.Argument(metavar="ID", help="The sent file: f-…")],
    instance: Annotated[
        list[str] | None,
        typer.Option("-i", "--instance", metavar="ID", help="On this instance only; may be repeated."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """A sent file with its instances: states and reasons. The content is not shown."""
    with opened() as session:
        item = _one(session, invoke_id)
        watch = Watch(session, invoke_id, instance or ())
        found = session.wait(watch.summary(output=False))
    item = replace(item, invocation_status=_status(found.state))
    if as_json:
        instances = [_run_json(run) for run in found.instances]
        document({**_file_json(item), "counts": dict(found.counts), "instances": instances})
        return
    _print_file(item, found.state)
    line()
    rows = [
        (
            run.instance_id,
            run.invocation_status,
            run.start_time,
            run.finish_time,
            ": ".join(part for part in (run.error_code, run.error_info) if part),
        )
        for run in found.instances
    ]
    table(("INSTANCE", "STATUS", "STARTED", "FINISHED", "REASON"), rows)


def _status(state: InvocationState) -> str:
    """Of a file, by the counts that are shown beside it."""
    return whole_file_status({RunStatus(status): count for status, count in state.counts.items()})


def _one(session: Session, invoke_id: str) -> FileItem:
    found = session.ask(DescribeSendFileResults(invoke_id=invoke_id)).invocations
    if not found:
        raise Refused(
            Kind.INVOCATION_NOT_FOUND, f"no file was sent as {invoke_id[:64]}; see `cloudassist file ls`"
        )
    return found[0]


def _print_file(item: FileItem, state: InvocationState) -> None:
    fields(
        [
            ("Sent as", item.invoke_id),
            ("Status", item.invocation_status),
            ("Instances", f"{item.vm_count:,}: {counts_text(state.counts)}"),
            ("File", _path(item)),
            ("Owner", f"{item.file_owner}:{item.file_group}, mode {item.file_mode}"),
            ("Overwrite", item.overwrite),
            ("Description", item.description),
            ("Retry of", state.retry_of),
            ("Created", item.creation_time),
            ("Finished", state.finish_time),
        ]
    )


def _path(item: FileItem) -> str:
    return f"{item.target_dir.removesuffix('/')}/{item.name}"


def _file_json(item: FileItem) -> dict[str, object]:
    return {
        "invoke_id": item.invoke_id,
        "invocation_status": item.invocation_status,
        "name": item.name,
        "target_dir": item.target_dir,
        "file_owner": item.file_owner,
        "file_group": item.file_group,
        "file_mode": item.file_mode,
        "overwrite": item.overwrite == "true",
        "description": item.description,
        "total": item.vm_count,
        "creation_time": item.creation_time,
    }


def _run_json(run: RunState) -> dict[str, object]:
    """A file's run has no output of its own."""
    return {
        key: value for key, value in result_json(run).items() if key not in ("output", "dropped", "exit_code")
    }
