"""An instance and what is known of its host, and what the server keeps of them."""

from collections.abc import Mapping
from typing import Any

from cloudassist_tasks.domain.ids import InstanceId
from cloudassist_tasks.domain.instance import (
    Contact,
    HostFacts,
    Instance,
    InstanceStatus,
    OsType,
    SshEngine,
    TransportKind,
)
from cloudassist_tasks.store.hashes import Hash, dump, int_in, load, text_in


def instance_doc(instance: Instance) -> bytes:
    """All but the host key, which the first contact may set."""
    return dump({
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
    doc = load(document, "an instance")
    return dump({**doc, "tags": dict(after)}) if doc.get("tags", {}) == dict(before) else None


def instance_from(hash_: Hash) -> Instance | None:
    """Of an instance's hash; None if nothing was registered."""
    if b"doc" not in hash_:
        return None
    doc = load(hash_[b"doc"], "an instance")
    return Instance(
        id=InstanceId(doc["id"]),
        host=doc["host"],
        port=doc.get("port", 22),
        user=doc.get("user", "root"),
        name=doc.get("name", ""),
        os_type=OsType(doc.get("os_type", OsType.LINUX)),
        identity=doc.get("identity"),
        password=doc.get("password"),
        host_key=text_in(hash_, b"host_key") or None,
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
    switched = text_in(hash_, b"status") if doc.get("power_commands") else ""
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
        boot_id=text_in(hash_, b"boot_id"),
        boot_seen_ms=int_in(hash_, b"boot_seen_ms"),
        zone=text_in(hash_, b"zone"),
        last_contact_ms=int_in(hash_, b"last_contact_ms"),
        last_invoked_ms=int_in(hash_, b"last_invoked_ms"),
        last_error=text_in(hash_, b"last_error"),
        finished_runs=int_in(hash_, b"finished_runs"),
        active_runs=active_runs,
    )


def _facts_doc(facts: HostFacts) -> bytes:
    return dump({
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
    doc = load(document, "facts of a host")
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
