"""`cloudassist command …`: scripts that are kept, to be run any number of times."""

import uuid
from dataclasses import replace
from typing import Annotated

import typer

from cloudassist_tasks.cli import options, repeating
from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.render import As, asked_form, document, fields, line, lines, note, table
from cloudassist_tasks.cli.run import Seeing, see_through
from cloudassist_tasks.cli.session import Session, opened
from cloudassist_tasks.contract.commands import (
    CommandItem,
    CreateCommand,
    DeleteCommand,
    DescribeCommands,
    ModifyCommand,
)
from cloudassist_tasks.contract.extensions import CloneCommand
from cloudassist_tasks.contract.invocations import InvokeCommand
from cloudassist_tasks.contract.operation import tags
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.parameters import has_placeholders

app = typer.Typer(no_args_is_help=True, help="Keep scripts, and run them.")

PAGE = 50

CommandId = Annotated[str, typer.Argument(metavar="ID", help="The command: c-…")]
Title = Annotated[str | None, typer.Option("--name", help="What it is called.")]
Description = Annotated[str | None, typer.Option("--description", help="What it is for.")]
Launcher = Annotated[str | None, typer.Option("--launcher", help="Run the script through this program.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    script: Annotated[str | None, typer.Argument(help="The script's text.", show_default=False)] = None,
    file: Annotated[str | None, typer.Option("--file", metavar="F", help="The script; - is stdin.")] = None,
    type_: options.Type = "shell",
    description: Description = None,
    timeout: options.TimeoutS = None,
    cwd: options.Cwd = None,
    launcher: Launcher = None,
    no_parameters: Annotated[
        bool, typer.Option("--no-parameters", help="Leave {{…}} in the script as it is.")
    ] = False,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="A tag to attach.")] = None,
    client_token: options.Token = None,
    as_json: options.Json = False,
) -> None:
    """Keep a script; its id is printed."""
    content = options.script_of(script, file)
    request = CreateCommand(
        name=name,
        type=options.command_type(type_),
        command_content=options.base64_of(content),
        content_encoding="Base64",
        description=description,
        timeout=timeout,
        working_dir=cwd,
        launcher=launcher,
        enable_parameter=has_placeholders(content) and not no_parameters,
        tag=tags(options.tags_of(tag)),
        client_token=client_token,
    )
    with opened() as session:
        _print_id(session.ask(request).command_id, as_json)


@app.command("ls")
def list_(
    name: Annotated[str | None, typer.Option("--name", metavar="GLOB", help="Whose name fits.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="shell, bat or powershell.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="With this tag.")] = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Kept commands, newest first."""
    form = asked_form(as_json, as_ndjson)
    request = DescribeCommands(
        name=name,
        type=options.command_type(type_) if type_ else None,
        tag=tags(options.tags_of(tag)),
        content_encoding="PlainText",
        max_results=PAGE,
    )
    with opened() as session:
        found = _all(session, request)
    if form is As.TEXT:
        rows = [
            (
                item.command_id,
                item.name,
                item.type,
                str(item.timeout),
                str(item.invoke_times),
                item.description,
            )
            for item in found
        ]
        table(("ID", "NAME", "TYPE", "TIMEOUT", "RUNS", "DESCRIPTION"), rows)
    elif form is As.JSON:
        document([_json(item) for item in found])
    else:
        lines(_json(item) for item in found)


@app.command()
def show(command_id: CommandId, as_json: options.Json = False) -> None:
    """A command with its script."""
    with opened() as session:
        item = _one(session, command_id)
    if as_json:
        document(_json(item))
        return
    fields(
        [
            ("Command", item.command_id),
            ("Name", item.name),
            ("Description", item.description),
            ("Type", item.type),
            ("Timeout", f"{item.timeout} s"),
            ("Directory", item.working_dir),
            ("Launcher", item.launcher),
            ("Parameters", ", ".join(item.parameter_names)),
            ("Tags", " ".join(f"{tag.tag_key}={tag.tag_value}" for tag in item.tags)),
            ("Created", item.creation_time),
            ("Runs", str(item.invoke_times)),
        ]
    )
    line()
    line(item.command_content.removesuffix("\n"))


@app.command()
def modify(
    command_id: CommandId,
    name: Title = None,
    description: Description = None,
    timeout: options.TimeoutS = None,
    cwd: options.Cwd = None,
    launcher: Launcher = None,
) -> None:
    """Change a command for its later runs. Its script stays: make a new command for another one."""
    if all(value is None for value in (name, description, timeout, cwd, launcher)):
        raise BadUsage("nothing to change; see `cloudassist command modify --help`")
    request = ModifyCommand(
        command_id=command_id,
        name=name,
        description=description,
        timeout=timeout,
        working_dir=cwd,
        launcher=launcher,
    )
    with opened() as session:
        session.ask(request)
    note(f"changed {command_id}")


@app.command()
def clone(
    command_id: CommandId,
    name: Annotated[str | None, typer.Option("--name", help="Of the copy; default: the same.")] = None,
    as_json: options.Json = False,
) -> None:
    """Keep a copy; its id is printed."""
    with opened() as session:
        _print_id(session.ask(CloneCommand(command_id=command_id, name=name)).command_id, as_json)


@app.command()
def rm(command_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The commands.")]) -> None:
    """Remove commands; their past invocations stay."""
    with opened() as session:
        for command_id in command_ids:
            session.ask(DeleteCommand(command_id=command_id))
            note(f"removed {command_id}")


@app.command()
def run(
    command_id: CommandId,
    ids: options.Ids = None,
    tag: options.Tags = None,
    name: options.Name = None,
    everything: options.Everything = False,
    targets: options.TargetsFile = None,
    timeout: options.TimeoutS = None,
    user: options.User = None,
    cwd: options.Cwd = None,
    parameter: options.Values = None,
    max_concurrency: options.MaxConcurrency = None,
    max_errors: options.MaxErrors = None,
    client_token: options.Token = None,
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
    """Run a command on instances; everything else is as in `cloudassist run`."""
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
    selected = options.selection(ids, tag, name, everything, targets)
    values = options.pairs(parameter, "-p")
    with opened() as session:
        request = InvokeCommand(
            command_id=command_id,
            instance_id=session.ask(selected).instance_id,
            parameters=values or None,
            timeout=timeout,
            username=user,
            working_dir=cwd,
            max_concurrency=max_concurrency,
            max_errors=max_errors,
            client_token=client_token or uuid.uuid4().hex,
            webhook=webhook,
            **when,
        )
        raise typer.Exit(see_through(session, lambda: session.ask(request).invoke_id, seeing))


def _all(session: Session, request: DescribeCommands) -> list[CommandItem]:
    """All pages."""
    found: list[CommandItem] = []
    while True:
        answer = session.ask(request)
        found += answer.commands
        if not answer.next_token:
            return found
        request = replace(request, next_token=answer.next_token)


def _one(session: Session, command_id: str) -> CommandItem:
    request = DescribeCommands(command_id=command_id, content_encoding="PlainText", max_results=1)
    for item in session.ask(request).commands:
        return item
    raise Refused(Kind.COMMAND_NOT_FOUND, f"no command {command_id[:64]}; see `cloudassist command ls`")


def _print_id(command_id: str, as_json: bool) -> None:
    document({"command_id": command_id}) if as_json else line(command_id)


def _json(item: CommandItem) -> dict[str, object]:
    return {
        "command_id": item.command_id,
        "name": item.name,
        "type": item.type,
        "description": item.description,
        "content": item.command_content,
        "working_dir": item.working_dir,
        "timeout": item.timeout,
        "enable_parameter": item.enable_parameter,
        "parameter_names": list(item.parameter_names),
        "launcher": item.launcher,
        "creation_time": item.creation_time,
        "invoke_times": item.invoke_times,
        "tags": {tag.tag_key: tag.tag_value for tag in item.tags},
    }
