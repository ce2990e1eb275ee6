"""`cloudassist webhook …`: what was not taken, and what receivers check signatures with."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.render import As, asked_form, document, fields, line, lines, note, table
from cloudassist_tasks.cli.session import opened
from cloudassist_tasks.contract.webhooks import (
    DescribeWebhooks,
    RemoveWebhooks,
    ResendWebhooks,
    RevealWebhookSecret,
    WebhookItem,
)
from cloudassist_tasks.domain.errors import Kind, Refused

app = typer.Typer(no_args_is_help=True, help="Webhooks that were not taken by their receivers.")

InvokeIds = Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="The invocations: t-…")]
AllDead = Annotated[bool, typer.Option("--all", help="All that were given up.")]


@app.command("ls")
def list_(
    dead: Annotated[bool, typer.Option("--dead", help="Only those that were given up.")] = False,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Webhooks that are still tried, and those that were given up; one that was taken is gone."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        found = session.ask(DescribeWebhooks(dead=dead)).webhooks
    if form is As.TEXT:
        table(
            ("INVOCATION", "RECEIVER", "STATE", "FAILURES", "NEXT", "LAST ERROR"),
            [
                (
                    each.invoke_id,
                    each.receiver,
                    each.state,
                    str(each.failures),
                    each.next_time,
                    each.last_error,
                )
                for each in found
            ],
        )
    elif form is As.JSON:
        document([_json(each) for each in found])
    else:
        lines(_json(each) for each in found)


@app.command()
def show(
    invoke_id: Annotated[str, typer.Argument(metavar="ID", help="The invocation: t-…")],
    as_json: options.Json = False,
) -> None:
    """One webhook that was not taken yet."""
    with opened() as session:
        found = session.ask(DescribeWebhooks(invoke_id=invoke_id)).webhooks
    if not found:
        raise Refused(
            Kind.WEBHOOK_NOT_FOUND, f"{invoke_id} has no webhook that waits; see `cloudassist webhook ls`"
        )
    if as_json:
        document(_json(found[0]))
    else:
        fields((name, str(value)) for name, value in _json(found[0]).items())


@app.command()
def resend(invoke_ids: InvokeIds = None, everything: AllDead = False) -> None:
    """Send again at once, and on from there as if it were the first time; also one that was taken."""
    with opened() as session:
        sent = session.ask(ResendWebhooks(invoke_id=tuple(invoke_ids or ()), all_dead=everything)).invoke_id
    _tell("due again", sent)


@app.command("rm")
def remove(invoke_ids: InvokeIds = None, everything: AllDead = False) -> None:
    """Send no more."""
    with opened() as session:
        gone = session.ask(RemoveWebhooks(invoke_id=tuple(invoke_ids or ()), all_dead=everything)).invoke_id
    _tell("removed", gone)


@app.command()
def secret(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; what is signed from now on needs it.")
    ] = False,
) -> None:
    """Print what receivers check signatures with."""
    with opened() as session:
        line(session.ask(RevealWebhookSecret(rotate=rotate)).secret)


def _tell(what: str, invoke_ids: Sequence[str]) -> None:
    for invoke_id in invoke_ids:
        note(f"{what}: {invoke_id}")
    if not invoke_ids:
        note("there is none")


def _json(item: WebhookItem) -> dict[str, object]:
    return {
        "invoke_id": item.invoke_id,
        "receiver": item.receiver,
        "state": item.state,
        "failures": item.failures,
        "last_error": item.last_error,
        "last_time": item.last_time,
        "next_time": item.next_time,
    }
