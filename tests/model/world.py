"""What the store should hold, in plain Python: the state of the model, and what follows from it.

Nothing that can be computed is kept: a tally is a fold over runs, an invocation is open while a run of it is,
a member is busy while it has an open run. The rules are in the other modules of this package; none of them
knows the store.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cloudassist_tasks.domain.delivery import DeliveryKey
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey, WorkerId
from cloudassist_tasks.domain.invocation import Firing, Invocation, InvocationSpec, Repetition, Run
from cloudassist_tasks.domain.rollup import Tally
from cloudassist_tasks.domain.status import OPEN, RunStatus
from cloudassist_tasks.ports.events import EventKind
from cloudassist_tasks.ports.invocations import Opened
from cloudassist_tasks.ports.runs import Finished, Held
from cloudassist_tasks.ports.schedules import MissedTicks

K = TypeVar("K")

STOPPED, EXHAUSTED = "stopped", "exhausted"
"""Why no round of a schedule follows."""

Told = tuple[EventKind, str, RunStatus | None]
"""An event: its kind, the id of what it is about, and the run's state."""


@dataclass(slots=True, kw_only=True)
class Fanout:
    """An invocation that runs once, or a round of a schedule."""

    of: RoundKey
    spec: InvocationSpec
    members: Sequence[InstanceId]
    opened_ms: int
    at_once: int | None
    errors: int | None
    unpublished: list[InstanceId]
    """In the order of publication."""
    unclaimed: dict[RunKey, int] = field(default_factory=dict)
    published: int = 0
    batches: int = 0
    stop_ms: int = 0
    halt_ms: int = 0
    finish_ms: int = 0
    firing: Firing | None = None
    version: int = 0
    skipped: frozenset[InstanceId] = frozenset()

    @property
    def entry(self) -> str:
        return f"{self.opened_ms:015d}.{self.of}"

    @property
    def keys(self) -> list[RunKey]:
        return [RunKey(self.of.invoke_id, id_, self.of.round) for id_ in self.members]

    def key(self, id_: InstanceId) -> RunKey:
        return RunKey(self.of.invoke_id, id_, self.of.round)


@dataclass(slots=True, kw_only=True)
class Whole:
    """A schedule."""

    specs: list[InvocationSpec]
    """By version."""
    members: list[InstanceId]
    at_once: int | None
    """What its caps meant for the members that it was opened with; as for each round."""
    errors: int | None
    due_ms: int | None
    tick_ms: int
    settled_ms: int = 0
    rounds: list[int] = field(default_factory=list)
    """Those that are kept."""
    number: int = 0
    """Of the newest."""
    paused: bool = False
    resumed_ms: int = 0
    ended: str = ""
    missed: list[MissedTicks] = field(default_factory=list)
    """The newest 100 records."""
    missed_ticks: int = 0
    stop_ms: int = 0
    finish_ms: int = 0
    left: dict[InstanceId, str] = field(default_factory=dict)
    """Members that take part in no further round, and why."""
    over: dict[InstanceId, RunStatus] = field(default_factory=dict)
    """Members whose part is over, and how it ended."""
    counts: Counter[InstanceId] = field(default_factory=Counter)
    latest: dict[InstanceId, int] = field(default_factory=dict)
    boots: dict[InstanceId, str] = field(default_factory=dict)

    @property
    def spec(self) -> InvocationSpec:
        return self.specs[-1]

    @property
    def entry(self) -> str:
        return f"{self.specs[0].created_ms:015d}.{self.spec.id}"

    def newest(self, id_: InstanceId) -> RunKey | None:
        """The key of a member's newest run."""
        return RunKey(self.spec.id, id_, self.latest[id_]) if id_ in self.latest else None


@dataclass(slots=True)
class Trials:
    """Of a delivery: what came of sending it so far."""

    failures: int
    since_ms: int
    tried_ms: int
    error: str


@dataclass(slots=True)
class World:
    """Everything. Keys of runs and their scores stand where the store has them."""

    fanouts: dict[RoundKey, Fanout] = field(default_factory=dict)
    wholes: dict[InvokeId, Whole] = field(default_factory=dict)
    numbered: list[InvokeId] = field(default_factory=list)
    """In the order of opening."""
    opened_today: int = 0
    tokens: dict[str, tuple[str, Opened, int]] = field(default_factory=dict)
    """By token: the request's hash, what was answered, until when that is remembered."""
    runs: dict[RunKey, Run] = field(default_factory=dict)
    """Of a forgotten round, the newest of each member stays."""
    outputs: dict[RunKey, bytes] = field(default_factory=dict)
    ends: dict[RunKey, tuple[Held, RunStatus, int, Finished]] = field(default_factory=dict)
    """How the holder ended it, and what it was told: told again if the call is made again."""
    registered: set[InstanceId] = field(default_factory=set)
    workers: dict[WorkerId, int] = field(default_factory=dict)
    """Last beat; of the buried, minus the time of burial."""
    known_workers: set[WorkerId] = field(default_factory=set)
    """Those that have said who they are."""
    claims: defaultdict[WorkerId, set[RunKey]] = field(default_factory=lambda: defaultdict(set))
    """A run that was taken over stays here until its old holder is told."""
    doubts: list[tuple[RunKey, WorkerId, int, int]] = field(default_factory=list)
    """Claims whose answer was lost: run, worker, epoch, when."""
    slots: defaultdict[InstanceId, set[RunKey]] = field(default_factory=lambda: defaultdict(set))
    waiting: defaultdict[InstanceId, dict[RunKey, int]] = field(default_factory=lambda: defaultdict(dict))
    adrift: defaultdict[InstanceId, set[RunKey]] = field(default_factory=lambda: defaultdict(set))
    due: dict[RunKey, int] = field(default_factory=dict)
    due_instances: dict[InstanceId, int] = field(default_factory=dict)
    deadlines: dict[RunKey, int] = field(default_factory=dict)
    fences: dict[RunKey, int] = field(default_factory=dict)
    outbox: dict[DeliveryKey, int] = field(default_factory=dict)
    dead_letters: dict[DeliveryKey, int] = field(default_factory=dict)
    trials: dict[DeliveryKey, Trials] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    dropped_events: int = 0

    # -- what follows

    def fanout_of(self, key: RunKey) -> Fanout | None:
        """None unless the run belongs to one that is kept."""
        fanout = self.fanouts.get(key.of)
        return fanout if fanout and key.instance_id in fanout.members else None

    def tally(self, of: RoundKey) -> Tally:
        if of.invoke_id in self.wholes and not of.round:
            whole = self.wholes[of.invoke_id]
            return Counter(self.part(whole, id_) for id_ in whole.members)
        return Counter(self.runs[key].status for key in self.fanouts[of].keys)

    def part(self, whole: Whole, id_: InstanceId) -> RunStatus:
        """A member's state in the whole: how its part ended, or that of its open run; else it waits."""
        if id_ in whole.over:
            return whole.over[id_]
        newest = whole.newest(id_)
        status = self.runs[newest].status if newest else RunStatus.SCHEDULED
        return status if status in OPEN else RunStatus.SCHEDULED

    def status_on(self, id_: InvokeId, instance_id: InstanceId) -> RunStatus | None:
        """Of an instance's run, or of its part; None: it is not a member."""
        if id_ in self.wholes:
            whole = self.wholes[id_]
            return self.part(whole, instance_id) if instance_id in whole.members else None
        fanout = self.fanouts[RoundKey(id_)]
        return self.runs[fanout.key(instance_id)].status if instance_id in fanout.members else None

    def outlived(self, whole: Whole) -> list[RunKey]:
        """Runs that were kept when their rounds were forgotten."""
        id_ = whole.spec.id
        return [key for key in self.runs if key.invoke_id == id_ and key.of not in self.fanouts]

    def busy(self, whole: Whole) -> list[InstanceId]:
        """Members with an open run."""
        newest = ((id_, whole.newest(id_)) for id_ in whole.members)
        return [id_ for id_, key in newest if key and self.runs[key].status in OPEN]

    def is_open(self, of: RoundKey) -> bool:
        return any(status in OPEN for status in self.tally(of))

    def invocation(self, of: RoundKey) -> Invocation:
        """As anyone reads it."""
        if of in self.fanouts:
            return self._fanout(self.fanouts[of])
        whole = self.wholes[of.invoke_id]
        return Invocation(
            spec=whole.spec,
            repetition=Repetition(
                rounds=whole.number,
                tick_ms=whole.tick_ms,
                settled_ms=whole.settled_ms,
                paused=whole.paused,
                resumed_ms=whole.resumed_ms,
                ended=whole.ended,
                missed=whole.missed_ticks,
                version=len(whole.specs) - 1,
            ),
            tally=self.tally(of),
            total=len(whole.members),
            published=0,
            batches=0,
            stop_ms=whole.stop_ms,
            finish_ms=whole.finish_ms,
        )

    def _fanout(self, fanout: Fanout) -> Invocation:
        return Invocation(
            spec=fanout.spec,
            round=fanout.of.round,
            firing=fanout.firing,
            tally=self.tally(fanout.of),
            total=len(fanout.members),
            published=fanout.published,
            batches=fanout.batches,
            stop_ms=fanout.stop_ms,
            halt_ms=fanout.halt_ms,
            finish_ms=fanout.finish_ms,
        )

    def everything(self) -> list[RoundKey]:
        """Once invocations, rounds, schedules."""
        return [*self.fanouts, *(RoundKey(id_) for id_ in self.wholes)]

    def open_rounds(self) -> list[RoundKey]:
        """What reconcile must look at, oldest first."""
        entries = {fanout.entry: of for of, fanout in self.fanouts.items() if self.is_open(of)}
        for id_, whole in self.wholes.items():
            if whole.ended and not whole.finish_ms:
                entries[whole.entry] = RoundKey(id_)
        return [entries[entry] for entry in sorted(entries)]

    def open_schedules(self) -> list[InvokeId]:
        """Oldest first."""
        entries = {whole.entry: id_ for id_, whole in self.wholes.items() if not whole.finish_ms}
        return [entries[entry] for entry in sorted(entries)]

    def commands_in_use(self) -> Counter[str]:
        """How many open invocations have each kept command, or open rounds what was replaced since."""
        once = [one.spec for of, one in self.fanouts.items() if not of.round and self.is_open(of)]
        again = [one.spec for one in self.wholes.values() if not one.finish_ms]
        rounds = [one.spec for of, one in self.fanouts.items() if of.round and self.is_open(of)]
        replaced = [spec for spec in rounds if spec.command.id != self.wholes[spec.id].spec.command.id]
        return Counter(spec.command.id for spec in [*once, *again, *replaced] if spec.command.kept)


def take(
    scored: dict[K, int], *, until_ms: int, again_ms: int, limit: int, name: Callable[[K], str] = str
) -> list[K]:
    """Hand out those that are scored at most so, oldest first; each comes again from then on."""
    fit = sorted(
        (score, name(key), at) for at, (key, score) in enumerate(scored.items()) if score <= until_ms
    )
    known = list(scored)
    taken = [known[at] for *_, at in fit[:limit]]
    scored.update(dict.fromkeys(taken, again_ms))
    return taken
