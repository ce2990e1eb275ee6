"""Between the domain's values and what the server keeps: hashes of bytes, and JSON documents.

A document that a newer release wrote may hold fields that this one does not know: they are ignored. A
missing one takes its default. Scripts and output are raw bytes and never pass through JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.command import Command, CommandType, TerminationMode
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.errors import Broken
from cloudassist_tasks.domain.file import ContentType, FileSpec
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey, WorkerId
from cloudassist_tasks.domain.instance import (
    Contact,
    HostFacts,
    Instance,
    InstanceStatus,
    OsType,
    SshEngine,
    TransportKind,
)
from cloudassist_tasks.domain.invocation import (
    Firing,
    Invocation,
    InvocationSpec,
    Misfire,
    RepeatMode,
    Repetition,
    Run,
    Why,
)
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.ports.store import WorkerInfo

Hash = Mapping[bytes, bytes]


def hash_of(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """The reply to HGETALL: names and values in turn."""
    each = iter(flat)
    return dict(zip(each, each, strict=True))


def _dump(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def _load(document: bytes, what: str) -> dict[str, Any]:
    try:
        loaded = json.loads(document.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise Broken(f"the store holds {what} that cannot be read; restore it or remove it") from error
    if not isinstance(loaded, dict):
        raise Broken(f"the store holds {what} that is not an object; restore it or remove it")
    return loaded


def _text(hash_: Hash, name: bytes) -> str:
    return hash_.get(name, b"").decode("utf-8", "surrogateescape")


def _int(hash_: Hash, name: bytes) -> int:
    return int(hash_.get(name) or 0)


# -- commands


def command_doc(command: Command) -> bytes:
    """All but the content and the counter."""
    return _dump(_command_fields(command))


def command_from(hash_: Hash) -> Command:
    """Of a command's hash."""
    return _command(_load(hash_[b"doc"], "a command"), hash_[b"content"], _int(hash_, b"uses"))


def _command_fields(command: Command) -> dict[str, object]:
    return {
        "id": command.id,
        "name": command.name,
        "type": command.type.value,
        "description": command.description,
        "working_dir": command.working_dir,
        "timeout_s": command.timeout_s,
        "enable_parameter": command.enable_parameter,
        "launcher": command.launcher,
        "tags": dict(command.tags),
        "resource_group": command.resource_group,
        "kept": command.kept,
        "created_ms": command.created_ms,
    }


def _command(doc: Mapping[str, Any], content: bytes, uses: int) -> Command:
    return Command(
        id=CommandId(doc["id"]),
        name=doc["name"],
        type=CommandType(doc["type"]),
        content=Secret(content),
        description=doc.get("description", ""),
        working_dir=doc.get("working_dir", ""),
        timeout_s=doc.get("timeout_s", 60),
        enable_parameter=doc.get("enable_parameter", False),
        launcher=doc.get("launcher", ""),
        tags=doc.get("tags", {}),
        resource_group=doc.get("resource_group", ""),
        kept=doc.get("kept", True),
        created_ms=doc.get("created_ms", 0),
        invoke_times=uses,
    )


# -- instances


def instance_doc(instance: Instance) -> bytes:
    """All but the host key, which the first contact may set."""
    return _dump({
        "id": instance.id,
        "host": instance.host,
        "port": instance.port,
        "user": instance.user,
        "name": instance.name,
        "os_type": instance.os_type.value,
        "identity": instance.identity,
        "password": instance.password,
        "trust_on_first_use": instance.trust_on_first_use,
        "jump": instance.jump,
        "transport": instance.transport.value,
        "engine": instance.engine.value if instance.engine else None,
        "legacy_algorithms": instance.legacy_algorithms,
        "remote_base": instance.remote_base,
        "tags": dict(instance.tags),
        "status": instance.status.value,
        "power_commands": dict(instance.power_commands),
        "registered_ms": instance.registered_ms,
    })  # fmt: skip


def retagged_instance_doc(
    document: bytes, *, before: Mapping[str, str], after: Mapping[str, str]
) -> bytes | None:
    """None if the tags are others than `before`."""
    doc = _load(document, "an instance")
    return _dump({**doc, "tags": dict(after)}) if doc.get("tags", {}) == dict(before) else None


def instance_from(hash_: Hash) -> Instance | None:
    """Of an instance's hash; None if nothing was registered."""
    if b"doc" not in hash_:
        return None
    doc = _load(hash_[b"doc"], "an instance")
    return Instance(
        id=InstanceId(doc["id"]),
        host=doc["host"],
        port=doc.get("port", 22),
        user=doc.get("user", "root"),
        name=doc.get("name", ""),
        os_type=OsType(doc.get("os_type", OsType.LINUX)),
        identity=doc.get("identity"),
        password=doc.get("password"),
        host_key=_text(hash_, b"host_key") or None,
        trust_on_first_use=doc.get("trust_on_first_use", False),
        jump=doc.get("jump"),
        transport=TransportKind(doc.get("transport", TransportKind.SSH)),
        engine=SshEngine(doc["engine"]) if doc.get("engine") else None,
        legacy_algorithms=doc.get("legacy_algorithms", False),
        remote_base=doc.get("remote_base"),
        tags=doc.get("tags", {}),
        status=_status(hash_, doc),
        power_commands=doc.get("power_commands", {}),
        registered_ms=doc.get("registered_ms", 0),
    )


def _status(hash_: Hash, doc: Mapping[str, Any]) -> InstanceStatus:
    """As the last power command left it; one that is no longer there leaves what was registered."""
    switched = _text(hash_, b"status") if doc.get("power_commands") else ""
    return InstanceStatus(switched or doc.get("status", InstanceStatus.RUNNING))


def contact_fields(contact: Contact) -> list[str | bytes | int]:
    """Names and values of what a contact has shown; what it has not shown stays as it was."""
    fields: list[str | bytes | int] = []
    if contact.facts is not None:
        fields += ["facts", _facts_doc(contact.facts)]
    if contact.boot_id:
        fields += ["boot_id", contact.boot_id, "boot_seen_ms", contact.boot_seen_ms]
    if contact.zone:
        fields += ["zone", contact.zone]
    if contact.last_contact_ms:
        fields += ["last_contact_ms", contact.last_contact_ms]
    return fields


def contact_from(hash_: Hash, active_runs: int) -> Contact:
    """Of an instance's hash, with the number of its slots in use."""
    return Contact(
        facts=_facts(hash_[b"facts"]) if b"facts" in hash_ else None,
        boot_id=_text(hash_, b"boot_id"),
        boot_seen_ms=_int(hash_, b"boot_seen_ms"),
        zone=_text(hash_, b"zone"),
        last_contact_ms=_int(hash_, b"last_contact_ms"),
        last_invoked_ms=_int(hash_, b"last_invoked_ms"),
        last_error=_text(hash_, b"last_error"),
        finished_runs=_int(hash_, b"finished_runs"),
        active_runs=active_runs,
    )


def _facts_doc(facts: HostFacts) -> bytes:
    return _dump({
        "base": facts.base,
        "helper_path": facts.helper_path,
        "helper_version": facts.helper_version,
        "shell": facts.shell,
        "uid": facts.uid,
        "user": facts.user,
        "os": facts.os,
        "sudo": facts.sudo,
        "boot_id": facts.boot_id,
    })  # fmt: skip


def _facts(document: bytes) -> HostFacts:
    doc = _load(document, "facts of a host")
    return HostFacts(
        base=doc["base"],
        helper_path=doc["helper_path"],
        helper_version=doc["helper_version"],
        shell=doc["shell"],
        uid=doc["uid"],
        user=doc["user"],
        os=doc.get("os", "Linux"),
        sudo=doc.get("sudo", False),
        boot_id=doc.get("boot_id", ""),
    )


# -- invocations


def spec_blob(spec: InvocationSpec) -> bytes:
    """A JSON line, then the script's bytes."""
    line = _dump({
        "id": spec.id,
        "command": _command_fields(spec.command),
        "parameters": dict(spec.parameters.reveal()),
        "timeout_s": spec.timeout_s,
        "timeout_left_out": spec.timeout_left_out,
        "working_dir": spec.working_dir,
        "username": spec.username,
        "launcher": spec.launcher,
        "termination_mode": spec.termination_mode.value,
        "repeat_mode": spec.repeat_mode.value,
        "frequency": spec.frequency,
        "zone": spec.zone,
        "zone_of_hosts": spec.zone_of_hosts,
        "misfire": spec.misfire.value,
        "jitter_s": spec.jitter_s,
        "tags": dict(spec.tags),
        "file": _file_doc(spec.file),
        "resource_group": spec.resource_group,
        "caps": _caps_doc(spec.caps),
        "retry_of": spec.retry_of,
        "callback": _callback_doc(spec.callback),
        "webhook": spec.webhook,
        "created_ms": spec.created_ms,
    })  # fmt: skip
    return line + b"\n" + spec.command.content.reveal()


def spec_from(blob: bytes) -> InvocationSpec:
    """The inverse of `spec_blob`. The counter of the command's uses is not part of a spec."""
    line, _, content = blob.partition(b"\n")
    doc = _load(line, "an invocation")
    return InvocationSpec(
        id=InvokeId(doc["id"]),
        command=_command(doc["command"], content, 0),
        parameters=Secret[Mapping[str, str]](doc.get("parameters", {})),
        timeout_s=doc["timeout_s"],
        timeout_left_out=doc.get("timeout_left_out", False),
        working_dir=doc.get("working_dir", ""),
        username=doc.get("username", ""),
        launcher=doc.get("launcher", ""),
        termination_mode=TerminationMode(doc.get("termination_mode", TerminationMode.PROCESS_TREE)),
        repeat_mode=RepeatMode(doc.get("repeat_mode", RepeatMode.ONCE)),
        frequency=doc.get("frequency", ""),
        zone=doc.get("zone", "UTC"),
        zone_of_hosts=doc.get("zone_of_hosts", False),
        misfire=Misfire(doc.get("misfire", Misfire.SKIP)),
        jitter_s=doc.get("jitter_s", 0),
        tags=doc.get("tags", {}),
        file=_file(doc.get("file"), content),
        resource_group=doc.get("resource_group", ""),
        caps=_caps(doc.get("caps", {})),
        retry_of=doc.get("retry_of"),
        callback=_callback(doc.get("callback")),
        webhook=doc.get("webhook", ""),
        created_ms=doc.get("created_ms", 0),
    )


def _caps_doc(caps: Caps) -> Mapping[str, object]:
    shares = {"max_concurrency": caps.max_concurrency, "max_errors": caps.max_errors}
    return {name: [share.amount, share.percent] for name, share in shares.items() if share is not None}


def _caps(doc: Mapping[str, Any]) -> Caps:
    return Caps(**{name: Share(amount, percent) for name, (amount, percent) in doc.items()})


def _callback_doc(callback: Callback | None) -> Mapping[str, object] | None:
    if callback is None:
        return None
    return {"task": callback.task, "queue": callback.queue, "kwargs": dict(callback.kwargs)}


def _callback(doc: Mapping[str, Any] | None) -> Callback | None:
    if doc is None:
        return None
    return Callback(task=doc["task"], queue=doc["queue"], kwargs=doc.get("kwargs", {}))


def _file_doc(file: FileSpec | None) -> Mapping[str, object] | None:
    """All but the content, which stands at the end of the program."""
    if file is None:
        return None
    return {
        "name": file.name,
        "content_bytes": len(file.content.reveal()),
        "content_type": file.content_type.value,
        "target_dir": file.target_dir,
        "owner": file.owner,
        "group": file.group,
        "mode": file.mode,
        "overwrite": file.overwrite,
    }


def _file(doc: Mapping[str, Any] | None, program: bytes) -> FileSpec | None:
    if doc is None:
        return None
    return FileSpec(
        name=doc["name"],
        content=Secret(program[-doc["content_bytes"] :]),
        content_type=ContentType(doc["content_type"]),
        target_dir=doc["target_dir"],
        owner=doc.get("owner", ""),
        group=doc.get("group", ""),
        mode=doc["mode"],
        overwrite=doc.get("overwrite", False),
    )


def with_tags(spec: InvocationSpec, tags: bytes | None) -> InvocationSpec:
    """The spec with the tags of the header, if there are any."""
    return replace(spec, tags=tags_from(tags)) if tags else spec


def tags_doc(tags: Mapping[str, str]) -> bytes:
    return _dump(dict(tags))


def tags_from(document: bytes) -> Mapping[str, str]:
    return _load(document, "tags")


def _firing(header: Hash) -> Firing | None:
    if b"why" not in header:
        return None
    return Firing(
        why=Why(_text(header, b"why")),
        at_ms=_int(header, b"at_ms"),
        opened_ms=_int(header, b"opened_ms"),
        skipped=_int(header, b"skipped"),
    )


def _repetition(header: Hash) -> Repetition | None:
    if b"round" not in header:
        return None
    return Repetition(
        rounds=_int(header, b"round"),
        tick_ms=_int(header, b"tick_ms"),
        paused=b"paused" in header,
        resumed_ms=_int(header, b"resumed_ms"),
        ended=_text(header, b"ended"),
        missed=_int(header, b"missed"),
        version=_int(header, b"spec"),
    )


def invocation_from(header: Hash, tally: Hash, spec: InvocationSpec, *, round_: int = 0) -> Invocation:
    """Of the two hashes that change, and the spec, which does not but for the tags."""
    return Invocation(
        spec=with_tags(spec, header.get(b"tags")),
        round=round_,
        firing=_firing(header),
        repetition=_repetition(header),
        tally={status: int(n) for status in RunStatus if (n := tally.get(status.encode(), b"0")) != b"0"},
        total=_int(header, b"total"),
        published=_int(header, b"published"),
        batches=_int(header, b"batches"),
        stop_ms=_int(header, b"stop_ms"),
        halt_ms=_int(header, b"halt_ms"),
        finish_ms=_int(header, b"finish_ms"),
    )


# -- runs


def run_from(key: RunKey, hash_: Hash) -> Run:
    """Of a run's hash; an empty one is a run that nobody has claimed."""
    if not hash_:
        return Run(key=key)
    exit_code = hash_.get(b"exit_code")
    worker = _text(hash_, b"worker")
    return Run(
        key=key,
        status=RunStatus(_text(hash_, b"status")),
        phase=Phase(_text(hash_, b"phase")),
        stop_requested=hash_.get(b"stop") == b"1",
        worker=WorkerId(worker) if worker else None,
        epoch=_int(hash_, b"epoch"),
        boot_id=_text(hash_, b"boot_id"),
        launch_ms=_int(hash_, b"launch_ms"),
        start_ms=_int(hash_, b"start_ms"),
        finish_ms=_int(hash_, b"finish_ms"),
        stop_ms=_int(hash_, b"stop_ms"),
        update_ms=_int(hash_, b"update_ms"),
        exit_code=int(exit_code) if exit_code else None,
        error_code=_text(hash_, b"error_code"),
        error_info=_text(hash_, b"error_info"),
        output_bytes=_int(hash_, b"output_bytes"),
        dropped=_int(hash_, b"dropped"),
        deliveries=_int(hash_, b"deliveries"),
        late_result=_text(hash_, b"late_result"),
    )


def output_from(hash_: Hash) -> BoundedOutput:
    """Of an output hash; an empty one is no output so far."""
    return BoundedOutput(
        head=hash_.get(b"head", b""), tail=hash_.get(b"tail", b""), total=_int(hash_, b"total")
    )


# -- workers


def worker_fields(info: WorkerInfo) -> list[str | int]:
    """Names and values of who a worker is."""
    return ["host", info.host, "pid", info.pid, "kind", info.kind, "started_ms", info.started_ms]


def worker_from(id_: WorkerId, hash_: Hash, seen_ms: int, *, claims: int) -> WorkerInfo:
    """Of a worker's hash; one that claimed before it registered has none."""
    return WorkerInfo(
        id=id_,
        host=_text(hash_, b"host"),
        pid=_int(hash_, b"pid"),
        kind=_text(hash_, b"kind"),
        started_ms=_int(hash_, b"started_ms"),
        seen_ms=seen_ms,
        claims=claims,
    )
