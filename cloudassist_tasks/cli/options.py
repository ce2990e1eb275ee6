"""Options that several commands share, with one meaning and one text."""

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.contract.extensions import SelectInstances
from cloudassist_tasks.contract.operation import Tag

Ids = Annotated[
    list[str] | None, typer.Option("-i", "--instance", metavar="ID", help="An instance; may be repeated.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="K=V", help="Instances with this tag (K alone: any value); all must hold."),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="GLOB", help="Instances whose name fits; '*' is a wildcard.")
]
Everything = Annotated[bool, typer.Option("--all", help="All instances.")]
TargetsFile = Annotated[
    str | None,
    typer.Option("--targets", metavar="FILE|-", help="Ids from a file, one a line, or from standard input."),
]
TimeoutS = Annotated[
    int | None,
    typer.Option("--timeout", metavar="S", help="Seconds until a run is killed; default 60, least 10."),
]
User = Annotated[str | None, typer.Option("--user", help="Run as this user; default root.")]
Cwd = Annotated[
    str | None, typer.Option("--cwd", metavar="DIR", help="Run in this directory; default: the user's home.")
]
Values = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="K=V", help="A value for {{K}}; may be repeated."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--client-token", metavar="T", help="The same token again gives the first invocation again."
    ),
]
Webhook = Annotated[
    str | None,
    typer.Option("--webhook", metavar="URL", help="Post the summary there when it has ended, signed."),
]
MaxConcurrency = Annotated[
    str | None,
    typer.Option("--max-concurrency", metavar="N|N%", help="On no more instances, or this share, at once."),
]
MaxErrors = Annotated[
    str | None,
    typer.Option(
        "--max-errors", metavar="N|N%", help="So many, or this share, may fail; one more begins no others."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Reach the instances, look for the user and directory, run nothing.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Print the InvokeId and leave.")]
WaitS = Annotated[
    float | None,
    typer.Option("--wait", metavar="S", min=0, help="Wait so long at most, then leave it running (exit 3)."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Ndjson = Annotated[bool, typer.Option("--ndjson", help="One JSON object per line, as they come.")]

TYPES = {"shell": "RunShellScript", "bat": "RunBatScript", "powershell": "RunPowerShellScript"}
Type = Annotated[
    str, typer.Option("--type", metavar="TYPE", help="shell, bat or powershell, or the API's name of it.")
]


def command_type(text: str) -> str:
    """The API's name; one that is not known is left to the API to refuse."""
    return TYPES.get(text.lower(), text)


def selection(
    ids: Sequence[str] | None,
    tags: Sequence[str] | None,
    name: str | None,
    everything: bool,
    targets: str | None,
) -> SelectInstances:
    """Which instances: ids of options and file together, narrowed down by name and tags."""
    wanted = [*(ids or ()), *(_ids_of(targets) if targets else ())]
    if not (wanted or tags or name or everything):
        raise BadUsage(
            "MissingParam.InstanceId: no instance was named;"
            " use -i ID, --tag K=V, --name GLOB, --targets FILE or --all"
        )
    if everything and wanted:
        raise BadUsage("--all and named instances exclude each other; choose one")
    return SelectInstances(
        instance_id=tuple(dict.fromkeys(wanted)),
        tag=tuple(_tag(text) for text in tags or ()),
        name=(name,) if name else (),
        all=everything,
    )


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """`K=V` texts as a mapping; a key may come once."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadUsage(f"{option} {text!r}: write it as KEY=VALUE")
        if key in found:
            raise BadUsage(f"{option} {key} is given twice; keep one of them")
        found[key] = value
    return found


def tags_of(texts: Sequence[str] | None) -> Mapping[str, str]:
    """Tags to attach."""
    return pairs(texts, "--tag")


def script_of(text: str | None, file: str | None) -> bytes:
    """The script's bytes, from the argument or from a file (`-`: standard input)."""
    if (text is None) == (file is None):
        raise BadUsage("give a SCRIPT, or --file FILE, and not both")
    content = os.fsencode(text) if text is not None else read(file or "-")
    if not content.strip():
        raise BadUsage("the script is empty")
    return content


def base64_of(content: bytes) -> str:
    """As scripts travel: any bytes are allowed in one."""
    return base64.b64encode(content).decode()


def read(file: str) -> bytes:
    """A file's bytes; `-` is standard input."""
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadUsage(f"cannot read {file}: {error.strerror}") from error


def _tag(text: str) -> Tag:
    key, _, value = text.partition("=")
    return Tag(key=key, value=value)


def _ids_of(file: str) -> list[str]:
    """Ids from a file: one a line, or many with blanks between; `#` begins a comment."""
    text = read(file).decode("utf-8", errors="replace")
    found = [word for line in text.splitlines() for word in line.partition("#")[0].split()]
    if not found:
        raise BadUsage(f"MissingParam.InstanceId: no instance id stands in {file}")
    return found
