"""A machine that can be reached, and what is known of it.

`Instance` is what its owner registered; `Contact` is what the last contact with it showed. What may be
registered is in `registration.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from cloudassist_tasks.domain.ids import InstanceId

NO_TAGS: Mapping[str, str] = MappingProxyType({})


class OsType(StrEnum):
    LINUX = "linux"
    WINDOWS = "windows"
    FREEBSD = "freebsd"


class InstanceStatus(StrEnum):
    """Power state as the vendor names it. Ours is Running unless a power command says otherwise."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


class ClientState(StrEnum):
    """Whether an instance can be used, as far as its last contact tells."""

    ONLINE = "online"
    OFFLINE = "offline"
    """The last attempt to reach it failed."""
    UNKNOWN = "unknown"
    """Nobody has tried yet."""


class TransportKind(StrEnum):
    SSH = "ssh"
    LOCAL = "local"
    """This machine, through the same helper; off unless the settings allow it."""


class SshEngine(StrEnum):
    ASYNCSSH = "asyncssh"
    PARAMIKO = "paramiko"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A registered machine. Secrets stand here by reference only."""

    id: InstanceId
    host: str
    port: int = 22
    user: str = "root"
    name: str = ""
    os_type: OsType = OsType.LINUX
    identity: str | None = None
    """Path of a private key file on the workers; none: the workers' default keys and agent."""
    password: str | None = None
    """A reference, never the password: `env:NAME` or `file:/path`, read by the worker that connects."""
    host_key: str | None = None
    """OpenSSH public key, `ssh-ed25519 AAAA…`. None, with `trust_on_first_use`: kept at first contact."""
    trust_on_first_use: bool = False
    jump: InstanceId | None = None
    """The registered instance through which this one is reached (ProxyJump)."""
    transport: TransportKind = TransportKind.SSH
    engine: SshEngine | None = None
    """None: the settings choose."""
    legacy_algorithms: bool = False
    """Also offer what only old sshds know: ssh-rsa with SHA-1, dh-group14 with SHA-1."""
    remote_base: str | None = None
    """Where the helper keeps its files on the host; none: it chooses."""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    status: InstanceStatus = InstanceStatus.RUNNING
    power_commands: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    """`start`, `stop`, `reboot`: a command line run on a worker. Without one, power is not ours to change."""
    registered_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What preparing a host showed: where the helper lies and what it can do there."""

    base: str
    helper_path: str
    helper_version: str
    shell: str
    uid: int
    user: str
    os: str = "Linux"
    sudo: bool = False
    """Root is reachable through `sudo -n`. Always False for uid 0, which needs none."""
    boot_id: str = ""
    zone: str = field(default="", compare=False)
    """Its time zone at that moment, as schedules take it; empty: none that they would. It may be changed on
    the host while all else stays; what was read last stands in `Contact`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """What the last contact with an instance showed. Times are the store's, in ms; 0: never."""

    facts: HostFacts | None = None
    boot_id: str = ""
    """The boot that the host was last seen in …"""
    boot_seen_ms: int = 0
    """… and when."""
    zone: str = ""
    """The host's time zone when it was last read; empty: not known."""
    last_contact_ms: int = 0
    last_invoked_ms: int = 0
    last_error: str = ""
    """Why the last attempt failed; empty after a success."""
    finished_runs: int = 0
    active_runs: int = 0


NO_CONTACT = Contact()


def client_state(contact: Contact) -> ClientState:
    """What the last contact says, however old it is."""
    if contact.last_error:
        return ClientState.OFFLINE
    return ClientState.ONLINE if contact.last_contact_ms else ClientState.UNKNOWN
