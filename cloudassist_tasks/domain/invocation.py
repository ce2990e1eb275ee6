"""An invocation: one request to run a command on some instances; and its runs.

`InvocationSpec` never changes after opening. `Run` is what the store says of one instance's part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cloudassist_tasks.domain.caps import NO_CAPS, Caps
from cloudassist_tasks.domain.command import Command, TerminationMode
from cloudassist_tasks.domain.delivery import Callback, DeliveryKind
from cloudassist_tasks.domain.file import FileSpec
from cloudassist_tasks.domain.ids import InvokeId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.instance import NO_TAGS
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import Phase, RunStatus


class InvocationKind(StrEnum):
    """What is done on each instance. The two are listed apart; an id shows which it is."""

    COMMAND = "command"
    """`t-…`: a script is run."""
    FILE = "file"
    """`f-…`: a file is sent."""


def kind_of(invoke_id: InvokeId) -> InvocationKind:
    """What the id of an invocation shows."""
    return InvocationKind.FILE if invoke_id.startswith("f-") else InvocationKind.COMMAND


class RepeatMode(StrEnum):
    ONCE = "Once"
    PERIOD = "Period"
    NEXT_REBOOT_ONLY = "NextRebootOnly"
    EVERY_REBOOT = "EveryReboot"
    DRY_RUN = "DryRun"


AGAIN = frozenset({RepeatMode.PERIOD, RepeatMode.NEXT_REBOOT_ONLY, RepeatMode.EVERY_REBOOT})
"""What runs later, in rounds."""

AT_BOOT = frozenset({RepeatMode.NEXT_REBOOT_ONLY, RepeatMode.EVERY_REBOOT})


class Misfire(StrEnum):
    """What is done about times that passed while no beat was up. They are recorded in any case."""

    SKIP = "skip"
    ONCE = "once"
    """One round, late, for all of them."""


class Why(StrEnum):
    """What a round was opened for."""

    TICK = "tick"
    """Its time had come."""
    LATE = "late"
    """Times were missed, and once was asked for."""
    BOOT = "boot"
    ASKED = "asked"
    """Somebody wanted it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a schedule runs: what a beat must know of its spec."""

    frequency: str
    zone: str
    misfire: Misfire
    jitter_s: int
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationSpec:
    """What was asked for, with the command as it stood at that moment."""

    id: InvokeId
    command: Command
    parameters: Secret[Mapping[str, str]] = field(default_factory=lambda: Secret[Mapping[str, str]]({}))
    """Custom parameters by name, as given."""
    timeout_s: int
    timeout_left_out: bool = False
    """No Timeout was given: another Frequency may change it."""
    working_dir: str = ""
    username: str = ""
    """Run-as user; empty: root where the helper can be root, else the login user."""
    launcher: str = ""
    termination_mode: TerminationMode = TerminationMode.PROCESS_TREE
    repeat_mode: RepeatMode = RepeatMode.ONCE
    frequency: str = ""
    """When it runs, in the grammar of domain/schedule; only with RepeatMode Period."""
    zone: str = "UTC"
    """Of a cron expression that names none."""
    zone_of_hosts: bool = False
    """Nobody named that zone: it was read off the instances when the Frequency was given."""
    misfire: Misfire = Misfire.SKIP
    jitter_s: int = 0
    """A round begins up to so many seconds after its time."""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    resource_group: str = ""
    file: FileSpec | None = None
    """The file that it sends; then `command` is the program that places it, and the id begins with `f-`."""
    caps: Caps = NO_CAPS
    retry_of: InvokeId | None = None
    callback: Callback | None = None
    """The task of another app that is told of the close."""
    webhook: str = field(default="", repr=False)
    """The URL that is told of the close; empty: none."""
    created_ms: int = 0

    @property
    def repeats(self) -> bool:
        """It is carried out in rounds, later."""
        return self.repeat_mode in AGAIN

    @property
    def timing(self) -> Timing:
        """Of what is periodic."""
        return Timing(
            frequency=self.frequency,
            zone=self.zone,
            misfire=self.misfire,
            jitter_s=self.jitter_s,
            created_ms=self.created_ms,
        )

    @property
    def kind(self) -> InvocationKind:
        """As its id shows."""
        return kind_of(self.id)

    @property
    def deliveries(self) -> Sequence[DeliveryKind]:
        """What is to be sent when it closes."""
        wanted = ((DeliveryKind.CALLBACK, self.callback), (DeliveryKind.WEBHOOK, self.webhook))
        return [kind for kind, target in wanted if target]


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What a round was opened for. Times in ms."""

    why: Why
    at_ms: int
    """When it was to begin; of a boot, and of one that somebody wanted, when it was opened."""
    opened_ms: int
    skipped: int
    """Members that it left out, since a run of theirs was open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """How a schedule stands."""

    rounds: int = 0
    """How many were opened so far; also the number of the newest."""
    tick_ms: int = 0
    """The time that is next, before its jitter; 0: there is none."""
    settled_ms: int = 0
    """The newest time that was fired or missed; none up to it comes again. 0: none was."""
    paused: bool = False
    resumed_ms: int = 0
    """When it last went on after a pause; 0: it was never paused."""
    ended: str = ""
    """Why no round follows: stopped, exhausted; empty: some may."""
    missed: int = 0
    """Times that passed while no beat was up."""
    version: int = 0
    """How often its spec was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """An invocation as it stands now; or one round of a schedule, which is a fan-out of its own."""

    spec: InvocationSpec
    round: int = 0
    """0: the whole."""
    firing: Firing | None = None
    """Of a round."""
    repetition: Repetition | None = None
    """Of a schedule as a whole."""
    tally: Mapping[RunStatus, int]
    """How many runs are in each state; states without a run are absent."""
    total: int
    published: int
    """How many runs have been handed to the queue so far."""
    batches: int
    stop_ms: int = 0
    halt_ms: int = 0
    """Since when no more runs begin, because too many failed."""
    finish_ms: int = 0

    @property
    def of(self) -> RoundKey:
        """Which fan-out it is."""
        return RoundKey(self.spec.id, self.round)

    @property
    def opened_ms(self) -> int:
        """When its runs could first begin."""
        return self.firing.opened_ms if self.firing else self.spec.created_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One instance's part. Times are the store's, in ms; 0: not yet."""

    key: RunKey
    status: RunStatus = RunStatus.PENDING
    phase: Phase = Phase.QUEUED
    stop_requested: bool = False
    worker: WorkerId | None = None
    epoch: int = 0
    """Counts the claims; a move with an older epoch is refused."""
    boot_id: str = ""
    """Boot of the host at the Launching commit."""
    launch_ms: int = 0
    start_ms: int = 0
    finish_ms: int = 0
    stop_ms: int = 0
    update_ms: int = 0
    exit_code: int | None = None
    error_code: str = ""
    error_info: str = ""
    output_bytes: int = 0
    """Length of the whole output so far, kept or not."""
    dropped: int = 0
    deliveries: int = 0
    repeats: int | None = None
    """In how many rounds its instance was, with this; None: not of a schedule."""
    late_result: str = ""
    """What the host answered after the run had been given up; kept, changes nothing."""
