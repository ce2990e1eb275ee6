"""What the plane says: every invocation, every run, every event and every call on record, read at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cloudassist_tasks.domain.audit import SUCCESS, AuditPart
from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RoundKey, RunKey
from cloudassist_tasks.domain.invocation import Invocation, InvocationKind, Run
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.status import FINAL, RunStatus
from cloudassist_tasks.engine.plane import Plane
from cloudassist_tasks.ports.events import OLDEST, EventKind
from cloudassist_tasks.ports.listing import InvocationFilter
from cloudassist_tasks.ports.schedules import MissedTicks

__all__ = ["Records", "read", "wanted_output"]

AT_ONCE = 500
ROUNDS = 100_000


@dataclass(slots=True)
class Records:
    wholes: dict[InvokeId, Invocation] = field(default_factory=dict)
    """Every invocation and schedule."""
    rounds: dict[RoundKey, Invocation] = field(default_factory=dict)
    """What has runs: invocations that run once (round 0), and the rounds of schedules."""
    runs: dict[RunKey, Run] = field(default_factory=dict)
    folds: dict[InvokeId, Counter[RunStatus]] = field(default_factory=dict)
    """Of schedules: how many members are in each state, counted over the members."""
    members: dict[InvokeId, Sequence[InstanceId]] = field(default_factory=dict)
    """Of schedules."""
    missed: dict[InvokeId, Sequence[MissedTicks]] = field(default_factory=dict)
    closes: Counter[RoundKey] = field(default_factory=Counter)
    """Events that say so."""
    ends: Counter[RunKey] = field(default_factory=Counter)
    """Events that tell of a final state."""
    audited: set[str] = field(default_factory=set)
    """Invocations that a call on record has opened."""


async def read(plane: Plane) -> Records:
    """All of it."""
    records = Records()
    for kind in InvocationKind:
        cursor = ""
        while True:
            page = await plane.store.invocations.page(
                InvocationFilter(kind=kind), limit=AT_ONCE, cursor=cursor
            )
            for invocation in page.items:
                records.wholes[invocation.spec.id] = invocation
            if not (cursor := page.cursor):
                break
    for invocation in list(records.wholes.values()):
        await _read_rounds(plane, records, invocation)
    await _read_events(plane, records)
    await _read_audit(plane, records)
    return records


async def _read_rounds(plane: Plane, records: Records, invocation: Invocation) -> None:
    invoke_id = invocation.spec.id
    if invocation.spec.repeats:
        rounds = await plane.store.schedules.rounds(invoke_id, limit=ROUNDS)
        records.missed[invoke_id] = await plane.store.schedules.missed(invoke_id)
        members = await plane.store.invocations.members(invoke_id, limit=100_000)
        records.members[invoke_id] = members
        states = await plane.store.runs.statuses_of(invocation, members)
        records.folds[invoke_id] = Counter(states)
    else:
        rounds = [invocation]
    for one in rounds:
        records.rounds[one.of] = one
        members = await plane.store.invocations.members(invoke_id, round=one.round, limit=100_000)
        for run in await plane.store.runs.get_many(invoke_id, members, round=one.round):
            records.runs[run.key] = run


async def _read_events(plane: Plane, records: Records) -> None:
    cursor = OLDEST
    while (happened := await plane.store.events.after(cursor, limit=5_000)).events:
        cursor = happened.cursor
        for event in happened.events:
            if event.kind in (EventKind.CLOSED, EventKind.ROUND_CLOSED):
                records.closes[RoundKey(event.invoke_id, event.round)] += 1
            elif event.kind is EventKind.RUN and event.status in FINAL and event.instance_id is not None:
                records.ends[RunKey(event.invoke_id, event.instance_id, event.round)] += 1


async def _read_audit(plane: Plane, records: Records) -> None:
    cursor = ""
    while True:
        page = await plane.store.audit.page(
            where=lambda record: record.part is AuditPart.CHANGES and record.outcome == SUCCESS,
            limit=1_000,
            cursor=cursor,
        )
        records.audited |= {record.invoke_id for record in page.records if record.invoke_id}
        if not (cursor := page.cursor):
            break


async def wanted_output(plane: Plane, keys: Sequence[RunKey]) -> Mapping[RunKey, BoundedOutput]:
    """What is kept of these runs' outputs."""
    found: dict[RunKey, BoundedOutput] = {}
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        found |= zip(some, await plane.store.runs.output(some), strict=True)
    return found
