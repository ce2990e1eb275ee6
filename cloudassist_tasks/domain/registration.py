"""What may be registered as an instance: checked once, on the way in, for one or for a whole import."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.ids import INSTANCE_ID, InstanceId
from cloudassist_tasks.domain.instance import Instance, TransportKind
from cloudassist_tasks.domain.limits import CLASSIC, Limits
from cloudassist_tasks.domain.tags import checked_tags
from cloudassist_tasks.domain.text import check_visible, some_of

POWER_ACTIONS = frozenset({"start", "stop", "reboot"})
"""The keys of `Instance.power_commands`."""

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_HOST_KEY_TYPE = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+")


def checked_instance(instance: Instance, limits: Limits = CLASSIC) -> Instance:
    """The instance as it is to be kept: its host key without a comment. Nothing is looked up.

    `Refused` BAD_INSTANCE, and the kinds of tags."""
    _check(
        instance,
        INSTANCE_ID.fullmatch(instance.id),
        "its id needs a letter or digit, then letters, digits . _ -, at most 64 in all",
    )
    _check(instance, _is_host(instance.host), "its host must be a name or an address")
    _check(instance, 1 <= instance.port <= 65_535, f"port {instance.port} does not exist; use 1 to 65535")
    _check(instance, _is_user(instance.user, limits), "its user must be a name without blanks")
    _check(
        instance,
        len(instance.name) <= limits.instance_name_chars,
        f"its name is longer than {limits.instance_name_chars} characters",
    )
    for what, value in (("name", instance.name), ("identity", instance.identity or "")):
        check_visible(f"the {what} of instance {instance.id}", value, Kind.BAD_INSTANCE)
    _check_password(instance)
    _check_ways(instance)
    _check_power(instance)
    host_key = _host_key(instance) if instance.host_key else None
    return replace(instance, host_key=host_key, tags=checked_tags(instance.tags.items(), limits))


def check_new(instances: Sequence[Instance], known: Collection[InstanceId]) -> None:
    """`Refused(INSTANCE_EXISTS)` for ids that are registered already, or come twice in one import."""
    seen: set[InstanceId] = set()
    twice: list[InstanceId] = []
    for instance in instances:
        if instance.id in seen and instance.id not in twice:
            twice.append(instance.id)
        seen.add(instance.id)
    if twice:
        raise Refused(Kind.INSTANCE_EXISTS, f"given twice: {some_of(twice)}; keep one of each")
    registered = [instance.id for instance in instances if instance.id in known]
    if registered:
        raise Refused(
            Kind.INSTANCE_EXISTS,
            f"registered already: {some_of(registered)}; remove them first, or choose other ids",
        )


def jump_path(instance: Instance, by_id: Mapping[InstanceId, Instance]) -> list[Instance]:
    """The instances to pass on the way to `instance`, in the order in which they are passed.

    `Refused(BAD_INSTANCE)` for one that is not registered, or a circle."""
    path: list[Instance] = []
    passed = {instance.id}
    current = instance
    while current.jump is not None:
        _check(
            instance, current.jump in by_id, f"its jump host {current.jump} is not registered; add it first"
        )
        _check(instance, current.jump not in passed, f"its jump hosts go in a circle at {current.jump}")
        passed.add(current.jump)
        current = by_id[current.jump]
        path.insert(0, current)
    return path


def _check(instance: Instance, holds: object, why: str) -> None:
    if not holds:
        raise Refused(Kind.BAD_INSTANCE, f"instance {_shown(instance.id)}: {why}")


def _shown(instance_id: str) -> str:
    return instance_id if INSTANCE_ID.fullmatch(instance_id) else repr(instance_id[:64])


def _is_host(host: str) -> bool:
    if _HOST_NAME.fullmatch(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_user(user: str, limits: Limits) -> bool:
    return 0 < len(user) <= limits.username_chars and user.isprintable() and not re.search(r"^-|[\s:]", user)


def _check_password(instance: Instance) -> None:
    reference = instance.password
    _check(
        instance,
        reference is None or re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\0\r\n]+", reference),
        "its password must be a reference, env:NAME or file:/path; never the password itself",
    )


def _check_ways(instance: Instance) -> None:
    _check(instance, instance.jump != instance.id, "it cannot be its own jump host")
    _check(
        instance,
        instance.transport is not TransportKind.LOCAL or instance.jump is None,
        "a local instance has no jump host; leave one of the two out",
    )
    base = instance.remote_base
    _check(
        instance,
        base is None or re.fullmatch(r"/[A-Za-z0-9._/+@-]+", base),
        "its remote base must be an absolute path of letters, digits and . _ / + @ -",
    )


def _check_power(instance: Instance) -> None:
    unknown = sorted(set(instance.power_commands) - POWER_ACTIONS)
    _check(instance, not unknown, f"no power command {some_of(unknown)}; there are reboot, start and stop")
    _check(
        instance,
        not instance.power_commands or instance.transport is not TransportKind.LOCAL,
        "power commands are not for a local instance; leave them out",
    )
    _check(
        instance,
        all(command.strip() for command in instance.power_commands.values()),
        "a power command is empty; give a command line or leave it out",
    )


def _host_key(instance: Instance) -> str:
    """`type base64`, without the comment that may follow."""
    key_type, _, rest = (instance.host_key or "").strip().partition(" ")
    data = rest.split(" ", 1)[0]
    _check(
        instance,
        _HOST_KEY_TYPE.fullmatch(key_type) and _names_type(data, key_type),
        "its host key must look like `ssh-ed25519 AAAA…`; copy the line of"
        " /etc/ssh/ssh_host_ed25519_key.pub on the instance",
    )
    return f"{key_type} {data}"


def _names_type(data: str, key_type: str) -> bool:
    """An OpenSSH key repeats its type inside: four bytes of length, then the name."""
    try:
        blob = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    name = key_type.encode()
    return blob.startswith(len(name).to_bytes(4, "big") + name) and len(blob) > 4 + len(name)
