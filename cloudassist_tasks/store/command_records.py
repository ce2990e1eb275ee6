"""A command, and what the server keeps of it."""

from collections.abc import Mapping
from typing import Any

from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.ids import CommandId
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.store.hashes import Hash, dump, int_in, load


def command_doc(command: Command) -> bytes:
    """All but the content and the counter."""
    return dump(command_fields(command))


def replaced_command_doc(document: bytes, *, before: Command, after: Command) -> bytes | None:
    """None if it is another than `before`. What a newer release keeps in it stays."""
    doc = load(document, "a command")
    if command_fields(command_of(doc, b"", 0)) != command_fields(before):
        return None
    return dump({**doc, **command_fields(after)})


def command_from(hash_: Hash) -> Command:
    """Of a command's hash."""
    return command_of(load(hash_[b"doc"], "a command"), hash_[b"content"], int_in(hash_, b"uses"))


def command_fields(command: Command) -> dict[str, object]:
    """As in a document; a spec holds them too."""
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


def command_of(doc: Mapping[str, Any], content: bytes, uses: int) -> Command:
    """The inverse of `command_fields`, with what is kept beside them."""
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
