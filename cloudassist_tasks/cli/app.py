"""The command `cloudassist`.

Names, options and exit codes are fixed: scripts build on them. Data goes to standard output, progress
and errors to standard error. `CLOUDASSIST_DATA_DIR` selects the installation.
"""

import os
import sys
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from cloudassist_tasks.cli import (
    audit,
    call,
    command,
    doctor,
    endpoint,
    file,
    instance,
    invocation,
    key,
    run,
    schedule,
    serve,
    up,
    webhook,
)
from cloudassist_tasks.cli.errors import BadUsage, report
from cloudassist_tasks.cli.exits import Exit

app = typer.Typer(
    name="cloudassist",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run scripts on one server or ten thousand, watch them, stop them.",
)
app.command("up")(up.up)
app.command("worker")(serve.worker)
app.command("beat")(serve.beat)
app.command("flower")(serve.flower)
app.command("serve")(endpoint.serve)
app.command("run")(run.run)
app.add_typer(invocation.app, name="invocation")
app.add_typer(command.app, name="command")
app.add_typer(file.app, name="file")
app.add_typer(instance.app, name="instance")
app.add_typer(schedule.app, name="schedule")
app.add_typer(key.app, name="key")
app.add_typer(webhook.app, name="webhook")
app.command("audit")(audit.audit)
app.command("call", context_settings=call.SETTINGS)(call.call)
app.command("doctor")(doctor.doctor)


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
    groups = {"invocation", "command", "file", "instance", "key", "schedule", "webhook"}
    known = {one.name for one in app.registered_commands} | groups
    words = [word for word in arguments[:1] if word in known]
    return "".join(f"{word} " for word in words)


def _version() -> str:
    try:
        return metadata.version("cloudassist")
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return "0 (not installed)"


if __name__ == "__main__":
    main()
