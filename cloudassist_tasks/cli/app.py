"""The command `cloudassist`.

Names, options and exit codes are fixed: scripts build on them. Data goes to standard output, progress
and errors to standard error. `CLOUDASSIST_DATA_DIR` selects the installation.
"""

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from cloudassist_tasks.cli.deferred import STYLE, Deferred
from cloudassist_tasks.cli.errors import BadUsage, report
from cloudassist_tasks.cli.exits import Exit

COMMANDS = (
    Deferred(
        "up",
        "up:up",
        "Start everything: store, worker, beat, Flower and the HTTP endpoint; prints `ready` when a run would"
        " work.",
    ),
    Deferred("worker", "serve:worker", "Be a worker: connect to instances and carry out runs."),
    Deferred("beat", "serve:beat", "Be a beat: keep schedules, and settle what was left behind."),
    Deferred("flower", "serve:flower", "Be Flower: show workers and tasks in a browser, behind a password."),
    Deferred(
        "serve",
        "endpoint:serve",
        "Be the HTTP endpoint: the vendor's SDK and CLI, and `Client(url, key)`, talk to it.",
    ),
    Deferred("run", "run:run", "Run a script on instances, watch it, print what came of it."),
    Deferred("audit", "audit:audit", "Calls on record, newest first; with -f oldest first."),
    Deferred(
        "call",
        "call:call",
        "Send any operation, with its parameters by the names of the API; print its answer as JSON.",
        # what it takes depends on the action
        settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    ),
    Deferred("doctor", "doctor:doctor", "Say what is wrong and the next step."),
    Deferred("invocation", "invocation:app", "List, show, wait for, read, stop and retry invocations."),
    Deferred("command", "command:app", "Keep scripts, and run them."),
    Deferred("file", "file:app", "Put a file on instances."),
    Deferred("instance", "instance:app", "Register, import, list, probe, prepare and switch instances."),
    Deferred("schedule", "schedule:app", "When schedules run, and what became of them."),
    Deferred("key", "key:app", "Keys with which other programs sign their calls."),
    Deferred("webhook", "webhook:app", "Webhooks that were not taken by their receivers."),
)


class Root(TyperGroup):
    """`cloudassist` itself."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": COMMANDS})


app = typer.Typer(
    name="cloudassist",
    cls=Root,
    no_args_is_help=True,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run scripts on one server or ten thousand, watch them, stop them.",
    **STYLE,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cloudassist {_version()}")
        raise typer.Exit()


@app.callback()
def cloudassist(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Run scripts on one server or ten thousand, watch them, stop them."""


def main() -> NoReturn:
    """The console script."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    try:
        code = app(args=arguments, prog_name="cloudassist", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its class is private to typer
            print(error.format_message(), file=sys.stderr)
            return Exit.REFUSED
        return report(BadUsage(f"{_one_line(error)}; see `cloudassist {_asked(arguments)}--help`"))
    except (KeyboardInterrupt, typer.Abort):
        return Exit.STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains at its exit
        return Exit.SUCCESS
    except Exception as error:
        return report(error)
    return int(code or 0)


def _one_line(error: typer.TyperException) -> str:
    return " ".join(error.format_message().split()).removesuffix(".")


def _asked(arguments: list[str]) -> str:
    """The words of the command that was meant, as far as they are known."""
    known = {one.name for one in COMMANDS}
    words = [word for word in arguments[:1] if word in known]
    return "".join(f"{word} " for word in words)


def _version() -> str:
    from importlib import metadata  # for this one question

    try:
        return metadata.version("cloudassist")
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return "0 (not installed)"


if __name__ == "__main__":
    main()
