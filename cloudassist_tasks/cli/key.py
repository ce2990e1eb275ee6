"""`cloudassist key …`: what other programs sign their calls with."""

from typing import Annotated

import typer

from cloudassist_tasks.cli import options
from cloudassist_tasks.cli.render import As, asked_form, document, fields, lines, note, table
from cloudassist_tasks.cli.session import opened
from cloudassist_tasks.contract.keys import (
    AccessKeyItem,
    CreateAccessKey,
    DescribeAccessKeys,
    DisableAccessKey,
    EnableAccessKey,
    RemoveAccessKey,
    ResealAccessKeys,
    RotateAccessKey,
)
from cloudassist_tasks.contract.operation import tags

app = typer.Typer(no_args_is_help=True, help="Keys with which other programs sign their calls.")

KeyIds = Annotated[list[str], typer.Argument(metavar="ID…", help="The keys: CA…")]


@app.command()
def create(
    role: Annotated[
        str,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="viewer describes; operator also runs, stops, sends; admin does all.",
        ),
    ] = "operator",
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    action: Annotated[
        list[str] | None,
        typer.Option(
            "--action", metavar="A", help="Only this operation (Describe*: these); may be repeated."
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="K=V", help="Only instances with this tag; all must hold."),
    ] = None,
    run_as: Annotated[
        list[str] | None,
        typer.Option("--run-as", metavar="USER", help="Only as this user; may be repeated."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Make a key; its secret is printed now and never again."""
    request = CreateAccessKey(
        role=role,
        name=name,
        policy_action=tuple(action or ()),
        policy_tag=tags(options.tags_of(tag)),
        policy_user=tuple(run_as or ()),
    )
    with opened() as session:
        made = session.ask(request)
    _print_secret(made.access_key_id, made.access_key_secret, as_json)


@app.command("ls")
def list_(as_json: options.Json = False, as_ndjson: options.Ndjson = False) -> None:
    """Keys, newest first; no secrets."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        found = session.ask(DescribeAccessKeys()).access_keys
    if form is As.TEXT:
        table(
            ("ID", "NAME", "ROLE", "STATUS", "LIMITED TO", "LAST USED"),
            [
                (
                    item.access_key_id,
                    item.name,
                    item.role,
                    item.status,
                    _limits(item),
                    item.last_used_time or "never",
                )
                for item in found
            ],
        )
    elif form is As.JSON:
        document([_json(item) for item in found])
    else:
        lines(_json(item) for item in found)


@app.command()
def disable(key_ids: KeyIds) -> None:
    """Refuse calls with these keys from now on."""
    with opened() as session:
        for key_id in key_ids:
            session.ask(DisableAccessKey(access_key_id=key_id))
            note(f"disabled {key_id}")


@app.command()
def enable(key_ids: KeyIds) -> None:
    """Undo `key disable`."""
    with opened() as session:
        for key_id in key_ids:
            session.ask(EnableAccessKey(access_key_id=key_id))
            note(f"enabled {key_id}")


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key: CA…")],
    grace: Annotated[
        int, typer.Option("--grace", metavar="S", min=0, help="Seconds for which the old secret serves too.")
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Replace a key's secret; the new one is printed now and never again."""
    with opened() as session:
        rotated = session.ask(RotateAccessKey(access_key_id=key_id, grace=grace))
    _print_secret(key_id, rotated.access_key_secret, as_json)
    if rotated.grace_end_time:
        note(f"the secret before it serves until {rotated.grace_end_time}")


@app.command()
def rm(key_ids: KeyIds) -> None:
    """Remove keys for good."""
    with opened() as session:
        for key_id in key_ids:
            session.ask(RemoveAccessKey(access_key_id=key_id))
            note(f"removed {key_id}")


@app.command()
def reseal() -> None:
    """Seal all secrets under the newest master key, so that the older ones can go."""
    with opened() as session:
        resealed = session.ask(ResealAccessKeys()).resealed
    note(f"sealed {resealed} {'key' if resealed == 1 else 'keys'} anew")


def _print_secret(key_id: str, secret: str, as_json: bool) -> None:
    if as_json:
        document({"access_key_id": key_id, "access_key_secret": secret})
        return
    fields([("AccessKeyId", key_id), ("AccessKeySecret", secret)])
    note("keep the secret now: it is not shown again")


def _limits(item: AccessKeyItem) -> str:
    """A policy in one cell; words without blanks, so that a row keeps its columns."""
    limits = [
        ("actions", ",".join(item.actions)),
        ("tags", ",".join(f"{key}={value}" for key, value in item.instance_tags.items())),
        ("users", ",".join(item.users)),
    ]
    return ";".join(f"{what}:{which}" for what, which in limits if which)


def _json(item: AccessKeyItem) -> dict[str, object]:
    return {
        "access_key_id": item.access_key_id,
        "name": item.name,
        "role": item.role,
        "status": item.status,
        "actions": list(item.actions),
        "instance_tags": dict(item.instance_tags),
        "users": list(item.users),
        "creation_time": item.creation_time,
        "last_used_time": item.last_used_time,
        "rotation_time": item.rotation_time,
    }
