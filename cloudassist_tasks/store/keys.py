"""Every name that the store writes, in one place.

All begin with `ca:`. A listing (`…:by_time`) is a sorted set whose scores are all 0
and whose members are entries: creation time, zero-padded, then the id. Their byte order is the order
of time, so an entry is also a cursor that stays right while others come and go.
"""

from cloudassist_tasks.domain.access_key import AccessKeyId
from cloudassist_tasks.domain.audit import AuditPart
from cloudassist_tasks.domain.delivery import DeliveryKey
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.status import RunStatus

COMMANDS = "ca:commands:by_number"
"""Entries of the kept commands, scored by the number that each was given when it was made."""
LAST_COMMAND = "ca:commands:last"
"""The number of the newest of them."""
COMMAND_TEXTS = "ca:commands:texts"
"""Hash: number → name and description, a line feed between."""
COMMAND_MARKS = "ca:commands:by:all"
"""Marks of all kept commands."""
COMMANDS_IN_USE = "ca:commands:in_use"
"""Hash: command id → how many open invocations use it."""
INSTANCES = "ca:instances"
"""Ids of all instances, by id."""
INSTANCE_CHANGES = "ca:instances:changes"
"""Ids of the instances, those removed too, scored by a number that grows with every change of any."""
INVOCATIONS = "ca:invocations:by_number"
"""Entries of all invocations, scored by the number that each was given when it was opened."""
LAST_NUMBER = "ca:invocations:last"
"""The number of the newest invocation."""
NAMES = "ca:invocations:names"
"""Beginning of `names`."""
RUN_MARKS = "ca:by:run:"
"""Beginning of the marks of what states an invocation's runs are in."""
OPEN = "ca:invocations:open"
"""Entries of the open ones that run once, of open rounds (`<id>.<round>`), of schedules that end."""

SCHEDULES = "ca:schedules:open"
"""Entries of scheduled invocations that are not closed."""
DUE_SCHEDULES = "ca:schedules:due"
"""Ids of those that have a next time, scored by it."""
BOOTS = "ca:boots"
"""Instances whose next boot is awaited, scored by when to look."""

DUE = "ca:due:runs"
"""Run ids, scored by when their message is published again."""
DUE_INSTANCES = "ca:due:instances"
"""Instance ids, scored by when their adrift runs are looked at."""
DEADLINES = "ca:deadlines"
"""Launched runs, scored by when they must have ended."""
FENCES = "ca:fences"
"""Runs given up while their host was silent, scored by when to try again."""
STOPPING = "ca:stopping"
"""Set of claimed or adrift runs that a stop was asked for."""

EVENTS = "ca:events"
"""Stream: what has happened: `run` and `status`, or `opened`, or `closed`, with an id."""
EVENTS_DROPPED = "ca:events:dropped"
"""The id of the newest event that is no longer kept."""
OUTBOX = "ca:outbox"
"""`<kind>.<invoke id>` of closed invocations and `<kind>.<invoke id>.<round>` of rounds, scored by when to
(try to) send it."""
DEAD_LETTERS = "ca:outbox:dead"
"""Those of them that are tried no more, scored by since when."""
WEBHOOK_SECRET = "ca:webhook:secret"
"""What webhooks are signed with, sealed."""

ACCESS_KEYS = "ca:access_keys"
"""Entries of the access keys."""

POWER_DUE = "ca:power:due"
"""Actions on instances, `<power id>.<instance id>`, scored by when they must have ended."""

WORKERS = "ca:workers"
"""Worker ids, scored by their last beat; a buried worker's score is minus the time of its burial."""


def entry(created_ms: int, id_: str) -> str:
    """A listing's member."""
    return f"{created_ms:015d}.{id_}"


def id_of(entry_: bytes) -> str:
    """The id in a listing's member."""
    return entry_.decode().partition(".")[2]


def round_of(entry_: bytes) -> RoundKey:
    """The fan-out that a member of OPEN stands for."""
    return RoundKey.parse(id_of(entry_))


def command(command_id: CommandId) -> str:
    """Hash: entry, doc, content, uses; of a kept one, number."""
    return f"ca:command:{command_id}"


def command_marks(facet: str, value: str) -> str:
    """Hash of bits: the numbers of the kept commands that have this value."""
    return f"ca:commands:by:{facet}:{value}"


def instance(instance_id: InstanceId) -> str:
    """Hash: what was registered (doc, host_key) and what the last contact showed."""
    return f"ca:instance:{instance_id}"


def slots(instance_id: InstanceId) -> str:
    """Set of the instance's runs that are claimed, launched, or promised the place of one that ended."""
    return f"ca:instance:{instance_id}:slots"


def waiting(instance_id: InstanceId) -> str:
    """Runs that wait for a slot, scored by since when."""
    return f"ca:instance:{instance_id}:waiting"


def adrift(instance_id: InstanceId) -> str:
    """Set of the instance's runs that go on unfollowed."""
    return f"ca:instance:{instance_id}:adrift"


def names(chunk: int) -> str:
    """Lines of `<number> <name>`: those of the 512 invocations whose numbers begin at 512 * chunk."""
    return f"{NAMES}:{chunk}"


def marks(facet: str, value: str) -> str:
    """Hash of bits: the numbers of the invocations that have this value; see `lua/pieces/marks.lua`."""
    return f"ca:by:{facet}:{value}"


HEADERS = "ca:invocation:"
"""Beginning of `header`."""


def header(invoke_id: InvokeId, round_: int = 0) -> str:
    """Hash: entry, command_id, kept, total, published, batches, stop_ms, finish_ms, number; if need be
    deliver, at_once, max_errors, halt_info, halt_ms, tags.

    Of a schedule also: round (the number of the newest), spec (the version), tick_ms, settled_ms, ended
    (why no round follows: stopped, exhausted), paused, resumed_ms, missed, deliver_rounds in place of
    deliver. Of a round no number, but at_ms, opened_ms, why, skipped and spec."""
    return f"{HEADERS}{invoke_id}:r{round_}" if round_ else f"{HEADERS}{invoke_id}"


def spec(invoke_id: InvokeId, version: int = 0) -> str:
    """The spec as it was opened; a schedule's as it was changed for the n-th time. Never changes."""
    return f"ca:invocation:{invoke_id}:spec:{version}" if version else f"ca:invocation:{invoke_id}:spec"


def tally(invoke_id: InvokeId, round_: int = 0) -> str:
    """Hash: status → how many runs; `open` → how many are not final; `number`; `marks`: where its
    states are marked; `many`: it has more than one member; `members`: of a large one, where
    they are. Of a round, in place of the last four, `whole`: the header of its schedule."""
    return f"{header(invoke_id, round_)}:tally"


def members(invoke_id: InvokeId, round_: int = 0) -> str:
    """Instance ids, scored by their place in the order of publication."""
    return f"{header(invoke_id, round_)}:members"


def members_in(invoke_id: InvokeId, status: RunStatus) -> str:
    """Bits, by the place of a member: its run has ended so. Only of large invocations, and of schedules."""
    return f"{members(invoke_id)}:{status}"


def unpublished(invoke_id: InvokeId, round_: int = 0) -> str:
    """Those of the members whose runs have not been handed to the queue."""
    return f"{header(invoke_id, round_)}:unpublished"


def unclaimed(invoke_id: InvokeId, round_: int = 0) -> str:
    """Run ids that are published and not yet claimed, scored by when."""
    return f"{header(invoke_id, round_)}:unclaimed"


# -- schedules


def rounds(invoke_id: InvokeId) -> str:
    """Numbers of the rounds that are kept, scored by themselves."""
    return f"{header(invoke_id)}:rounds"


def skipped(invoke_id: InvokeId, round_: int) -> str:
    """Members that a round has left out, since a run of theirs was open."""
    return f"{header(invoke_id, round_)}:skipped"


def busy(invoke_id: InvokeId) -> str:
    """Members of a schedule that have an open run (one at most)."""
    return f"{header(invoke_id)}:busy"


def left(invoke_id: InvokeId) -> str:
    """Members that take part in no further round, scored 0 if they were stopped, 1 if they had their last."""
    return f"{header(invoke_id)}:left"


def asked(call: str) -> str:
    """The number of the round that this call has opened beside the clock, while it may be sent again."""
    return f"ca:asked:{call}"


def latest(invoke_id: InvokeId) -> str:
    """Members, scored by the newest round that has them."""
    return f"{header(invoke_id)}:latest"


def outlived(invoke_id: InvokeId) -> str:
    """Members whose run in a forgotten round was kept, since it was their newest; scored by that round."""
    return f"{header(invoke_id)}:outlived"


def counts(invoke_id: InvokeId) -> str:
    """Hash: member → how many rounds have had it."""
    return f"{header(invoke_id)}:counts"


def ended(invoke_id: InvokeId) -> str:
    """Hash: member whose part in the schedule is over → its final state."""
    return f"{header(invoke_id)}:ended"


def missed(invoke_id: InvokeId) -> str:
    """List: `<how many> <first ms> <last ms> <seen ms> <skip|once|paused|changed>` for each time that ticks
    were missed."""
    return f"{header(invoke_id)}:missed"


def boots(invoke_id: InvokeId) -> str:
    """Hash: member → the boot of its host that nothing is to be run for any more, or `@<ms>`: none was seen
    since it was added then; see domain/boot.py."""
    return f"{header(invoke_id)}:boots"


def boots_awaited(instance_id: InstanceId) -> str:
    """Set of invocations that wait for the instance's next boot."""
    return f"{BOOTS}:{instance_id}"


def moves(invoke_id: InvokeId) -> str:
    """Channel: `<run_id> <status>`."""
    return f"ca:moves:{invoke_id}"


RUN = "ca:run:"
"""Beginning of `run`."""


def run(key: RunKey) -> str:
    """Hash, made at the first claim (or when the run ends without one)."""
    return f"{RUN}{key.run_id}"


def output(key: RunKey) -> str:
    """Hash: head, tail, total."""
    return f"ca:output:{key.run_id}"


def delivery(key: DeliveryKey) -> str:
    """Hash of one that has failed: failures, since_ms, tried_ms, error."""
    return f"ca:delivery:{key}"


def worker(worker_id: WorkerId) -> str:
    """Hash: who it is."""
    return f"ca:worker:{worker_id}"


def claims(worker_id: WorkerId) -> str:
    """Set of the runs that a worker holds."""
    return f"ca:worker:{worker_id}:claims"


STOPS = "ca:stops:"
"""Beginning of the channels on which workers are told to stop a run: `ca:stops:<worker id>`."""


def day(day_: str) -> str:
    """Counter: invocations that count against this day."""
    return f"ca:day:{day_}"


def token(token_: str) -> str:
    """Hash: what the first call with this ClientToken opened."""
    return f"ca:token:{token_}"


def access_key(key_id: AccessKeyId) -> str:
    """Hash: entry, doc, sealed, disabled, used, rotated, earlier, earlier_until."""
    return f"ca:access_key:{key_id}"


def nonce(key_id: str, digest: str) -> str:
    """Stands while a signed request with this nonce would still be believed."""
    return f"ca:nonce:{key_id}:{digest}"


def audit(part: AuditPart) -> str:
    """Stream: what is remembered of calls."""
    return f"ca:audit:{part}"


def turn(what: str) -> str:
    """Stands while somebody has the turn."""
    return f"ca:turn:{what}"
