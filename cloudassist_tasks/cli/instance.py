"""`cloudassist instance …`: the machines that can be reached."""

import getpass
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from cloudassist_tasks.cli import options, switching
from cloudassist_tasks.cli.errors import BadUsage
from cloudassist_tasks.cli.exits import Exit
from cloudassist_tasks.cli.grouping import id_list
from cloudassist_tasks.cli.host_key import read_host_key
from cloudassist_tasks.cli.render import As, asked_form, document, fields, lines, note, table
from cloudassist_tasks.cli.roster import check_jumps, read_roster
from cloudassist_tasks.cli.session import Session, opened
from cloudassist_tasks.contract.extensions import (
    AddInstances,
    DescribeRegistrations,
    InstanceRegistration,
    PrepareInstances,
    ProbeInstances,
    RegistrationItem,
    RemoveInstance,
)
from cloudassist_tasks.contract.operation import Tag
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.instance import Instance, OsType, TransportKind

app = typer.Typer(no_args_is_help=True, help="Register, import, list, probe, prepare and switch instances.")
for _verb in (switching.start, switching.stop, switching.reboot):
    app.command()(_verb)

AT_ONCE = 1_000
"""Instances in one probe."""

NO_KEY = "no host key, so no connection is made: add them again with --host-key or --trust-on-first-use"

InstanceId = Annotated[str, typer.Argument(metavar="ID", help="What the instance is called, e.g. i-1.")]
InstanceIds = Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="The instances.")]
TrustFirst = Annotated[
    bool,
    typer.Option("--trust-on-first-use", help="Without a known key: keep the one seen at the first contact."),
]
Replace = Annotated[bool, typer.Option("--replace", help="Register known ids anew instead of refusing.")]


@app.command()
def add(
    instance_id: InstanceId,
    host: Annotated[str | None, typer.Option("--host", metavar="H", help="Name or address.")] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Of its sshd.")] = 22,
    user: Annotated[str, typer.Option("--user", help="Log in as.")] = "root",
    identity: Annotated[
        str | None,
        typer.Option("--identity", metavar="FILE", help="Private key; default: agent and usual keys."),
    ] = None,
    password: Annotated[
        str | None, typer.Option("--password", metavar="REF", help="env:NAME or file:/path, never itself.")
    ] = None,
    host_key: Annotated[
        str | None,
        typer.Option("--host-key", metavar="KEY|@FILE", help="Its public host key, or a known_hosts line."),
    ] = None,
    trust_on_first_use: TrustFirst = False,
    jump: Annotated[
        str | None, typer.Option("--jump", metavar="ID", help="Reach it through this instance.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="For people, and for --name of `run`.")] = "",
    os_type: Annotated[str, typer.Option("--os-type", help="linux, windows or freebsd.")] = "linux",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="A tag to attach.")] = None,
    engine: Annotated[str | None, typer.Option("--engine", help="asyncssh or paramiko.")] = None,
    legacy_algorithms: Annotated[
        bool, typer.Option("--legacy-algorithms", help="Also offer what only very old sshds know.")
    ] = False,
    remote_base: Annotated[
        str | None,
        typer.Option("--remote-base", metavar="DIR", help="Where the helper keeps its files there."),
    ] = None,
    power_start: Annotated[
        str | None,
        typer.Option("--power-start", metavar="CMD", help="A worker runs it to start it."),
    ] = None,
    power_stop: Annotated[
        str | None, typer.Option("--power-stop", metavar="CMD", help="… to stop it.")
    ] = None,
    power_reboot: Annotated[
        str | None, typer.Option("--power-reboot", metavar="CMD", help="… to restart it.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="This machine, without SSH.")] = False,
    replace_: Replace = False,
) -> None:
    """Register an instance."""
    if local and host is None:
        host = "localhost"
    if host is None:
        raise BadUsage(f"where is {instance_id}? give --host H, or --local for this machine")
    if host_key and trust_on_first_use:
        raise BadUsage("--host-key and --trust-on-first-use exclude each other; choose one")
    registration = InstanceRegistration(
        instance_id=instance_id,
        host=host,
        port=port,
        user=getpass.getuser() if local else user,
        name=name,
        os_type=os_type,
        identity=_readable(identity) if identity else None,
        password=password,
        host_key=read_host_key(host_key) if host_key else None,
        trust_on_first_use=trust_on_first_use,
        jump=jump,
        transport="local" if local else "ssh",
        engine=engine,
        legacy_algorithms=legacy_algorithms,
        remote_base=remote_base,
        tags=options.tags_of(tag),
        power_commands=switching.commands_given(start=power_start, stop=power_stop, reboot=power_reboot),
    )
    with opened() as session:
        session.ask(AddInstances(instances=(registration,), replace=replace_))
    note(f"registered {instance_id}")
    if not (local or host_key or trust_on_first_use):
        note(f"{instance_id}: {NO_KEY}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, or an OpenSSH client configuration.")],
    trust_on_first_use: TrustFirst = False,
    replace_: Replace = False,
) -> None:
    """Register the instances of a file: all of them, or none and what is wrong with it.

    CSV columns: instance_id,host,port,user,identity,host_key,os_type,name,tags (tags as k=v;k2=v2);
    all but the first two may be empty.
    """
    text = options.read(str(file)).decode("utf-8", errors="replace")
    instances = read_roster(file, text)
    if trust_on_first_use:
        instances = [replace(one, trust_on_first_use=one.host_key is None) for one in instances]
    with opened() as session:
        if any(instance.jump for instance in instances):
            known = {item.registration.instance_id for item in _registrations(session)}
            check_jumps(instances, known.__contains__)
        registrations = tuple(_registration(instance) for instance in instances)
        session.ask(AddInstances(instances=registrations, replace=replace_))
    note(f"registered {len(instances):,} instances: {id_list(one.id for one in instances)}")
    keyless = [one.id for one in instances if not one.host_key and not one.trust_on_first_use]
    if keyless:
        note(f"{id_list(keyless)}: {NO_KEY}")


@app.command("ls")
def list_(
    name: options.Name = None,
    tag: options.Tags = None,
    client: Annotated[
        str | None, typer.Option("--client", metavar="STATE", help="online, offline or unknown.")
    ] = None,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Instances with their last contact."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        found = _registrations(session, name=name, tag=tag, client=client)
    _print_registrations(found, form)


@app.command()
def show(instance_id: InstanceId, as_json: options.Json = False) -> None:
    """All that is known of an instance."""
    with opened() as session:
        item = _one(session, instance_id)
    if as_json:
        document(_json(item))
        return
    given, contact = item.registration, item.contact
    fields(
        [
            ("Instance", given.instance_id),
            ("Name", given.name),
            ("Address", _address(item)),
            ("User", given.user),
            ("Identity", given.identity or ""),
            ("Password", given.password or ""),
            ("Host key", given.host_key or ("kept at first contact" if given.trust_on_first_use else "")),
            ("Jump", given.jump or ""),
            ("Engine", given.engine or ""),
            ("OS", given.os_type),
            ("Tags", _tags(item)),
            ("Status", item.status),
            ("Power", switching.power_text(item)),
            ("Registered", item.creation_time),
            ("Client", contact.client_status),
            ("Last contact", contact.last_contact_time),
            ("Last error", contact.last_error),
            ("Last run", contact.last_invoked_time),
            ("Runs", f"{contact.finished_runs:,} ended, {contact.active_runs:,} open"),
            ("Helper", contact.helper_version),
            ("Shell", contact.shell),
            ("System", contact.os),
            ("Boot", contact.boot_id),
            ("Time zone", contact.zone),
        ]
    )


@app.command()
def rm(instance_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The instances.")]) -> None:
    """Forget instances; nothing is done on them."""
    with opened() as session:
        for instance_id in instance_ids:
            session.ask(RemoveInstance(instance_id=instance_id))
            note(f"removed {instance_id}")


@app.command()
def probe(
    instance_ids: InstanceIds = None,
    everything: options.Everything = False,
    within: Annotated[int, typer.Option("--within", min=1, metavar="S", help="Seconds, for all.")] = 10,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Try to reach instances now. Exits 1 if one cannot be."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        ids = _named(session, instance_ids, everything)
        found: list[RegistrationItem] = []
        for start in range(0, len(ids), AT_ONCE):
            request = ProbeInstances(instance_id=ids[start : start + AT_ONCE], within=within)
            found += session.ask(request).registrations
    _print_registrations(found, form)
    reached = all(item.contact.client_status == "online" for item in found)
    raise typer.Exit(Exit.SUCCESS if reached else Exit.SOME_FAILED)


@app.command()
def prepare(
    instance_ids: InstanceIds = None,
    everything: options.Everything = False,
    as_json: options.Json = False,
    as_ndjson: options.Ndjson = False,
) -> None:
    """Install the helper now; a run does so by itself. Exits 1 if it cannot be installed somewhere."""
    form = asked_form(as_json, as_ndjson)
    with opened() as session:
        ids = _named(session, instance_ids, everything)
        prepared = session.ask(PrepareInstances(instance_id=ids)).prepared
    if form is As.TEXT:
        rows = [
            (
                one.instance_id,
                one.helper_version,
                f"{one.error_code}: {one.error_info}" if one.error_code else "",
            )
            for one in prepared
        ]
        table(("INSTANCE", "HELPER", "REASON"), rows)
    else:
        objects = [asdict(one) for one in prepared]
        document(objects) if form is As.JSON else lines(objects)
    raise typer.Exit(Exit.SOME_FAILED if any(one.error_code for one in prepared) else Exit.SUCCESS)


def _named(session: Session, ids: list[str] | None, everything: bool) -> list[str]:
    if bool(ids) == everything:
        raise BadUsage("MissingParam.InstanceId: name instances, or give --all")
    return list(ids or ()) or [item.registration.instance_id for item in _registrations(session)]


def _registrations(
    session: Session,
    *,
    name: str | None = None,
    tag: list[str] | None = None,
    client: str | None = None,
) -> list[RegistrationItem]:
    """All pages."""
    wanted = [text.partition("=") for text in tag or ()]
    request = DescribeRegistrations(
        name=(name,) if name else (),
        tag=tuple(Tag(key=key, value=value) for key, _, value in wanted),
        client_status=client,
    )
    found: list[RegistrationItem] = []
    while True:
        answer = session.ask(request)
        found += answer.registrations
        if not answer.next_token:
            return found
        request = replace(request, next_token=answer.next_token)


def _one(session: Session, instance_id: str) -> RegistrationItem:
    for item in session.ask(DescribeRegistrations(instance_id=(instance_id,))).registrations:
        return item
    raise Refused(Kind.INSTANCE_NOT_FOUND, f"not registered: {instance_id}; see `cloudassist instance ls`")


def _print_registrations(found: list[RegistrationItem], form: As) -> None:
    if form is As.TEXT:
        rows = [
            (
                item.registration.instance_id,
                _address(item),
                item.contact.client_status,
                item.contact.last_contact_time,
                item.registration.name,
                _tags(item),
                item.contact.last_error,
            )
            for item in found
        ]
        table(("ID", "ADDRESS", "CLIENT", "LAST CONTACT", "NAME", "TAGS", "LAST ERROR"), rows)
    elif form is As.JSON:
        document([_json(item) for item in found])
    else:
        lines(_json(item) for item in found)


def _address(item: RegistrationItem) -> str:
    given = item.registration
    if given.transport == TransportKind.LOCAL:
        return "local"
    host = f"[{given.host}]" if ":" in given.host else given.host
    return f"{given.user}@{host}:{given.port}"


def _tags(item: RegistrationItem) -> str:
    return ";".join(f"{key}={value}" for key, value in item.registration.tags.items())


def _registration(instance: Instance) -> InstanceRegistration:
    """What the file said, as it is sent."""
    return InstanceRegistration(
        instance_id=instance.id,
        host=instance.host,
        port=instance.port,
        user=instance.user,
        name=instance.name,
        os_type=OsType(instance.os_type).value,
        identity=instance.identity,
        host_key=instance.host_key,
        trust_on_first_use=instance.trust_on_first_use,
        jump=instance.jump,
        tags=dict(instance.tags),
    )


def _readable(identity: str) -> str:
    """The key's whole path: workers run in another directory."""
    path = Path(identity).expanduser().absolute()
    if not path.is_file():
        raise BadUsage(f"there is no private key file {path}")
    return str(path)


def _json(item: RegistrationItem) -> dict[str, object]:
    given, contact = item.registration, item.contact
    return {
        "instance_id": given.instance_id,
        "host": given.host,
        "port": given.port,
        "user": given.user,
        "name": given.name,
        "os_type": given.os_type,
        "identity": given.identity,
        "password": given.password,
        "host_key": given.host_key,
        "trust_on_first_use": given.trust_on_first_use,
        "jump": given.jump,
        "transport": given.transport,
        "engine": given.engine,
        "legacy_algorithms": given.legacy_algorithms,
        "remote_base": given.remote_base,
        "tags": dict(given.tags),
        "status": item.status,
        "power": switching.power_json(item),
        "creation_time": item.creation_time,
        "client_status": contact.client_status,
        "last_contact_time": contact.last_contact_time,
        "last_invoked_time": contact.last_invoked_time,
        "last_error": contact.last_error,
        "finished_runs": contact.finished_runs,
        "active_runs": contact.active_runs,
        "helper_version": contact.helper_version,
        "boot_id": contact.boot_id,
        "zone": contact.zone,
    }
