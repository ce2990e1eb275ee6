"""What an invocation is to do: a blob that does not change but for its tags."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.command import TerminationMode
from cloudassist_tasks.domain.delivery import Callback
from cloudassist_tasks.domain.file import ContentType, FileSpec
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import InvocationSpec, Misfire, RepeatMode
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.store.command_records import command_fields, command_of
from cloudassist_tasks.store.hashes import dump, load


def spec_blob(spec: InvocationSpec) -> bytes:
    """A JSON line, then the script's bytes."""
    line = dump({
        "id": spec.id,
        "command": command_fields(spec.command),
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
    doc = load(line, "an invocation")
    return InvocationSpec(
        id=InvokeId(doc["id"]),
        command=command_of(doc["command"], content, 0),
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
    return dump(dict(tags))


def tags_from(document: bytes) -> Mapping[str, str]:
    return load(document, "tags")
