"""Operations that are ours, not the vendor's: what the command line and the library need beside them.

They are answered to our own clients only, and follow the same rules as the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from cloudassist_tasks.contract.operation import Operation, R, Result, Tag, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension(Operation[R]):
    extension: ClassVar[bool] = True


# -- instances


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRegistration:
    """A machine to be reached. Secrets stand here by reference only."""

    instance_id: str
    host: str
    port: int = 22
    user: str = "root"
    name: str = ""
    os_type: Annotated[str, Wire(name="OSType")] = "linux"
    """linux, windows, freebsd."""
    identity: str | None = None
    """Path of a private key file on the workers."""
    password: str | None = field(default=None, repr=False)
    """A reference: `env:NAME` or `file:/path`, read by the worker that connects."""
    host_key: str | None = None
    """OpenSSH public key, `ssh-ed25519 AAAA…`."""
    trust_on_first_use: bool = False
    jump: str | None = None
    """The registered instance through which this one is reached."""
    transport: str = "ssh"
    """ssh, or local: this machine, where the settings allow it."""
    engine: str | None = None
    """asyncssh, paramiko; None: the settings choose."""
    legacy_algorithms: bool = False
    remote_base: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    power_commands: Mapping[str, str] = field(default_factory=dict, repr=False)
    """start, stop, reboot: a command line that a worker runs. Without one, power cannot be switched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddInstancesResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddInstances(Extension[AddInstancesResult]):
    """Register instances: all of them, or none and an error that names the first bad one."""

    instances: Sequence[InstanceRegistration]
    replace: bool = False
    """Known ones are registered anew instead of refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveInstanceResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveInstance(Extension[RemoveInstanceResult]):
    """Forget an instance; refused while a run of it is open."""

    instance_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactItem:
    """What is known of an instance from the last time it was reached."""

    client_status: str
    """online, offline or unknown (nobody has tried yet)."""
    last_contact_time: str = ""
    last_invoked_time: str = ""
    last_error: str = ""
    """Why the last attempt failed; empty after a success."""
    finished_runs: int = 0
    active_runs: int = 0
    helper_version: str = ""
    shell: str = ""
    login_user: str = ""
    os: str = ""
    sudo: bool = False
    boot_id: str = ""
    zone: str = ""
    """The time zone of its host; empty: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerItem:
    """The last time that an instance was switched."""

    action: str
    """start, stop, reboot."""
    asked_time: str
    end_time: str = ""
    error: str = ""
    """Why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationItem:
    registration: InstanceRegistration
    status: str
    """Running, unless a power command says otherwise."""
    creation_time: str
    contact: ContactItem
    power: PowerItem | None = None
    """None: it was never switched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRegistrationsResult(Result):
    registrations: Sequence[RegistrationItem] = ()
    next_token: str = ""
    total_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Extension[R]):
    """Which instances: all that is given must hold."""

    instance_id: Sequence[str] = ()
    name: Sequence[str] = ()
    """Any of these; `*` is a wildcard."""
    tag: Sequence[Tag] = ()
    """All of these; a key without a value matches any."""
    os_type: Annotated[str | None, Wire(name="OSType")] = None
    status: str | None = None
    client_status: str | None = None
    """online, offline, unknown."""
    all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRegistrations(Selection[DescribeRegistrationsResult]):
    """Instances as they were registered, with their last contact; without a criterion, all of them."""

    max_results: int = 10_000
    next_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectInstancesResult(Result):
    instance_id: Sequence[str] = ()
    """In the order in which they would run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectInstances(Selection[SelectInstancesResult]):
    """The ids of the instances that fit: at least one, else it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeInstancesResult(Result):
    registrations: Sequence[RegistrationItem] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeInstances(Extension[ProbeInstancesResult]):
    """Try to reach instances now, and say what came of it."""

    instance_id: Sequence[str]
    within: int = 10
    """Seconds, for all of them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedItem:
    instance_id: str
    error_code: str = ""
    error_info: str = ""
    helper_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareInstancesResult(Result):
    prepared: Sequence[PreparedItem] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareInstances(Extension[PrepareInstancesResult]):
    """Install the helper on instances now, and wait for it."""

    instance_id: Sequence[str]


# -- commands and invocations


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneCommandResult(Result):
    command_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneCommand(Extension[CloneCommandResult]):
    """Keep a copy of a kept command."""

    command_id: str
    name: str | None = None
    """Of the copy; None: that of the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryInvocationResult(Result):
    invoke_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryInvocation(Extension[RetryInvocationResult]):
    """A new invocation of the instances whose run did not succeed."""

    invoke_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """One instance's part, as far as it has come."""

    instance_id: str
    invocation_status: str
    """The fine state, one of 12."""
    instance_invoke_status: str
    """The classic state."""
    exit_code: int | None = None
    output: str = field(default="", repr=False)
    """Decoded, head and tail; empty unless it was asked for."""
    dropped: int = 0
    """Bytes of the middle that were not kept."""
    error_code: str = ""
    error_info: str = ""
    start_time: str = ""
    finish_time: str = ""
    output_bytes: int = 0
    """Length of the whole output so far."""
    ended: bool = False
    """The state is final."""
    round: int = 0
    """Of a schedule: the newest round of the instance, whose output this is; 0: it has had none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationState:
    """An invocation without its runs. Costs the same for any number of them."""

    invoke_id: str
    invocation_status: str
    """The fine state of the whole."""
    invoke_status: str
    """The classic state of the whole."""
    counts: Mapping[str, int]
    """How many runs are in each fine state; states without a run are absent."""
    total: int
    ended: int
    """How many runs have ended. All of them: the invocation is closed."""
    published: int
    batches: int
    command_id: str
    command_name: str
    command_type: str
    retry_of: str = ""
    repeat_mode: str = "Once"
    frequency: str = ""
    timed: bool = False
    """Whether it will run again by itself."""
    round: int = 0
    """Of a schedule: how many rounds it has had."""
    creation_time: str = ""
    stop_time: str = ""
    finish_time: str = ""

    @property
    def closed(self) -> bool:
        """Every run has ended; nothing will change any more."""
        return self.ended >= self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRunsResult(Result):
    invocation: InvocationState
    runs: Sequence[RunState] = ()
    next_start: int = 0
    """Where the next page begins; 0: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRuns(Extension[DescribeRunsResult]):
    """An invocation, and a part of its runs in order: named ones, or a page of them."""

    invoke_id: str
    instance_id: Sequence[str] = ()
    start: int = 0
    limit: int = 0
    """At most 1,000; 0: only the invocation."""
    include_output: bool = False
    watched: bool = False
    """Somebody looks at these runs as they go: those that nobody follows are followed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMoved:
    """A hint that a run has changed its state or has new output; it may be lost."""

    instance_id: str
    invocation_status: str
    ended: bool
