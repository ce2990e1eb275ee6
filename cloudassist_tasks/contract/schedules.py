"""Our own operations about schedules: what there is, what became of each round, and what to do with one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloudassist_tasks.contract.extensions import Extension
from cloudassist_tasks.contract.operation import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundItem:
    """One firing of a schedule."""

    round: int
    why: str
    """tick (its time had come), late (times were missed, and once was asked for), boot, asked."""
    due_time: str
    """The time that it was for; with milliseconds, as the next one."""
    opened_time: str
    finish_time: str = ""
    invocation_status: str = ""
    """The fine state of its runs together; empty: it has none, since all instances were left out."""
    counts: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    skipped: int = 0
    """Instances that were left out, since a run of theirs was open."""
    skipped_instance_id: Sequence[str] = ()
    """At most 50 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedItem:
    """Times that passed while no beat was up."""

    count: int
    first_time: str
    last_time: str
    seen_time: str
    done: str
    """skip: nothing was run for them; once: one round, late; paused, changed: nothing, since the schedule was
    paused then, or given another Frequency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleItem:
    invoke_id: str
    command_id: str
    command_name: str
    repeat_mode: str
    frequency: str
    zone: str
    words: str
    """When it runs, in words."""
    misfire: str
    jitter: int
    state: str
    """active, paused, stopped, exhausted (no time is left), or closed."""
    instances: int
    creation_time: str
    next_time: str = ""
    rounds: int = 0
    """Opened so far."""
    missed: int = 0
    """Times that passed while no beat was up."""
    invocation_status: str = ""
    """The fine state of the whole."""
    last: RoundItem | None = None
    """The newest round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeSchedulesResult(Result):
    schedules: Sequence[ScheduleItem] = ()
    """Newest first."""
    next_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeSchedules(Extension[DescribeSchedulesResult]):
    """What runs again by itself."""

    invoke_id: str | None = None
    """This one alone, also when it is over."""
    max_results: int = 50
    next_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRoundsResult(Result):
    rounds: Sequence[RoundItem] = ()
    missed: Sequence[MissedItem] = ()
    """The newest 100."""
    next_start: int = 0
    """Where the next page begins: the number of a round; 0: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRounds(Extension[DescribeRoundsResult]):
    """The rounds of a schedule, newest first."""

    invoke_id: str
    start: int = 0
    """The number of the newest round to show; 0: from the newest that there is."""
    limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseScheduleResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSchedule(Extension[PauseScheduleResult]):
    """No round is opened until it is resumed; what passes meanwhile is not missed. Open runs go on."""

    invoke_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeScheduleResult(Result):
    next_time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSchedule(Extension[ResumeScheduleResult]):
    """Go on after a pause, from the next time on."""

    invoke_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScheduleNowResult(Result):
    round: int
    total: int
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScheduleNow(Extension[RunScheduleNowResult]):
    """Open a round now, beside the clock; its times stay as they are."""

    invoke_id: str
