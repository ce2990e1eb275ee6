"""Faults of beats: killed, frozen, many, under clocks that are stepped, or none at all. A time of a schedule
fires once, none is lost while one beat is up, and what was missed is on record.

The store's clock is stepped for real: its server runs under libfaketime. A beat takes a sample of it every
ten seconds, so a step is seen within these. Schedules of two seconds are allowed here; as shipped, of ten.
"""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from cloudassist_tasks.contract.invocations import RunCommand
from cloudassist_tasks.domain.access import LOCAL
from cloudassist_tasks.domain.ids import InvokeId
from cloudassist_tasks.domain.invocation import Firing, Invocation, Why
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.operations.handling import handle
from tests.faults.soon import opened_soon
from tests.processes.conftest import Crew
from tests.support.eventually import eventually, eventually_async
from tests.support.plane import Console, Installation, private_installation
from tests.support.stepped_clock import SteppedClock
from tests.support.store_gate import store_gate

PERIOD_MS = 2_000
PATIENT = {"CLOUDASSIST_LATE_S": "30"}
"""A beat on a slow machine: a time that nobody takes for so long, fifteen periods, is missed."""
IN_ONE_STEP = {"CLOUDASSIST_LATE_S": "1000000"}
"""A beat for which no time is missed, only late: a night passes in one step of the clock."""


@pytest.fixture(scope="module")
def home() -> Iterator[Installation]:
    with private_installation() as installation:
        yield installation


@pytest.fixture
def clock(home: Installation) -> Iterator[SteppedClock]:
    """The store's server is on this clock, for the length of a test."""
    clock, server = SteppedClock(home.directory), home.valkey
    server.stop()
    server.environment = clock.environment()
    server.start()
    yield clock
    server.stop()
    server.environment = {}
    server.start()


@pytest.fixture
async def console(home: Installation) -> AsyncIterator[Console]:
    async with home.console(
        2,
        CLOUDASSIST_LIMIT_TIMEOUT_MIN_S="1",
        CLOUDASSIST_LIMIT_TIMEOUT_DEFAULT_S="1",
        CLOUDASSIST_LIMIT_PERIOD_MIN_S="1",
        CLOUDASSIST_LIMIT_RATE_MIN_S="1",
    ) as opened:
        yield opened


async def opened(
    console: Console, frequency: str = "rate(2s)", script: str = "true", **more: str
) -> InvokeId:
    request = RunCommand(
        type="RunShellScript",
        command_content=script,
        enable_parameter=True,
        instance_id=["i-1"],
        frequency=frequency,
        **more,  # type: ignore[arg-type]
    )
    return InvokeId((await handle(console.plane, request, LOCAL)).invoke_id)


async def firings(console: Console, invoke_id: InvokeId) -> list[Firing]:
    """Of all rounds, in the order of their opening."""
    rounds = await console.plane.store.schedules.rounds(invoke_id, limit=10_000)
    return [one.firing for one in reversed(rounds) if one.firing is not None]


async def times_of(console: Console, invoke_id: InvokeId) -> list[int]:
    """For which times rounds were opened, in that order."""
    return [firing.at_ms for firing in await firings(console, invoke_id)]


async def reach(console: Console, ids: Sequence[InvokeId], rounds: int, within: float = 60) -> None:
    """Await so many rounds of each."""

    async def reached() -> bool:
        counts = await asyncio.gather(*(console.plane.store.schedules.round_count(one) for one in ids))
        return min(counts) >= rounds

    await eventually_async(reached, within=within, every=0.1)


async def each_fired_once(console: Console, ids: Sequence[InvokeId]) -> None:
    """Every period from the creation on has one round; none was missed."""
    for invoke_id in ids:
        invocation = await console.invocation(invoke_id)
        times = await times_of(console, invoke_id)
        created_ms = invocation.spec.created_ms
        assert times == [created_ms + n * PERIOD_MS for n in range(1, len(times) + 1)]
        assert missed(invocation) == 0


def missed(invocation: Invocation) -> int:
    assert invocation.repetition is not None
    return invocation.repetition.missed


def kill(beat: "subprocess.Popen[bytes]") -> None:
    beat.kill()
    beat.wait()


# -- killed, frozen, many


async def test_kill_9_of_a_beat_between_a_round_and_its_messages(
    console: Console, home: Installation, crew: Crew
) -> None:
    """The round is open in the store, and nobody was told of its runs."""
    crew.one()
    with store_gate(home.valkey, home.directory) as gate:
        gate.hold_after("open_round")
        with home.beat(CLOUDASSIST_REDIS_URL=gate.url()) as beat:
            invoke_id = await opened_soon(lambda at: opened(console, at, home.marking()))
            await asyncio.to_thread(gate.reached)
            kill(beat)
            assert len(await firings(console, invoke_id)) == 1

    await eventually_async(_is(lambda: bool(home.marked(invoke_id))), within=60)
    assert await console.closed(invoke_id) == {RunStatus.SUCCESS: 1}
    assert home.marked(invoke_id) == {"i-1": 1}
    assert len(await firings(console, invoke_id)) == 1


def _is(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def is_true() -> bool:
        return condition()

    return is_true


async def test_kill_9_and_sigstop_of_beats_neither_double_nor_lose_a_time(
    console: Console, home: Installation
) -> None:
    with ExitStack() as stack:
        killed, frozen, third = (stack.enter_context(home.beat(**PATIENT)) for _ in range(3))
        ids = [await opened(console) for _ in range(30)]

        await reach(console, ids, 1)
        frozen.send_signal(signal.SIGSTOP)
        kill(killed)
        await reach(console, ids, 3)
        frozen.send_signal(signal.SIGCONT)
        fourth = stack.enter_context(home.beat(**PATIENT))
        await reach(console, ids, 5)
        assert [one.poll() for one in (frozen, third, fourth)] == [None] * 3, "a beat has ended by itself"

    await each_fired_once(console, ids)


async def test_two_and_three_beats_at_once_fire_each_time_once(console: Console, home: Installation) -> None:
    with home.beat(**PATIENT) as first, home.beat(**PATIENT) as second:
        ids = [await opened(console) for _ in range(30)]
        await reach(console, ids, 3)
        with home.beat(**PATIENT) as third:
            await reach(console, ids, 6)
            assert [one.poll() for one in (first, second, third)] == [None] * 3, "a beat has ended by itself"

    await each_fired_once(console, ids)


# -- clocks


async def test_a_beat_whose_clock_is_stepped_back_and_forth_fires_each_time_once(
    console: Console, home: Installation
) -> None:
    """Its machine's clock: an hour ahead, then two behind. Nothing looks at it."""
    clock = SteppedClock(home.directory)
    with home.beat(**PATIENT, **clock.environment()):
        ids = [await opened(console) for _ in range(5)]
        for ahead_s in (0, 3_600, -7_200):
            clock.step(ahead_s)
            await asyncio.to_thread(eventually, partial(_fires_ahead_by, ahead_s, home), within=60)
        await reach(console, ids, 5)

    await each_fired_once(console, ids)


def _fires_ahead_by(ahead_s: int, home: Installation) -> bool:
    """Whether the newest beat has opened a round by a clock that is so far off: what its log says."""
    log = max(home.directory.glob("beat-*.log"), key=lambda path: path.stat().st_mtime_ns)
    opened = [json.loads(line) for line in log.read_text().splitlines() if "rounds_opened" in line]
    now = datetime.now(UTC) + timedelta(seconds=ahead_s)
    return any(abs(datetime.fromisoformat(line["time"]) - now) < timedelta(minutes=30) for line in opened)


async def test_a_store_whose_clock_is_stepped_back_and_forth_doubles_no_time_and_hides_none(
    clock: SteppedClock, console: Console, home: Installation
) -> None:
    """An hour ahead: the times between are missed, and counted. Back again: what is next lies an hour ahead,
    and nothing fires a second time until the clock is there again."""
    with home.beat(), home.beat():
        invoke_id = await opened(console)
        await reach(console, [invoke_id], 2)
        clock.step(3_600)
        await eventually_async(_fired_after(console, invoke_id, 3_000_000), within=60)
        jumped = await console.invocation(invoke_id)
        clock.step(0)
        before = len(await times_of(console, invoke_id))
        clock.step(3_660)
        await reach(console, [invoke_id], before + 3)

    times = await times_of(console, invoke_id)
    after = await console.invocation(invoke_id)
    passed_over = await console.plane.store.schedules.missed(invoke_id)
    assert times == sorted(set(times))
    assert missed(jumped) > 1_700
    last_ms = max([*times, *(one.last_ms for one in passed_over)])
    assert len(times) + missed(after) == (last_ms - after.spec.created_ms) // PERIOD_MS


def _fired_after(console: Console, invoke_id: InvokeId, ms: int) -> Callable[[], Awaitable[bool]]:
    """Whether a round is open for a time that lies so far behind the creation."""

    async def has_fired() -> bool:
        created_ms = (await console.invocation(invoke_id)).spec.created_ms
        return any(time > created_ms + ms for time in await times_of(console, invoke_id))

    return has_fired


NIGHTLY, RHYTHM = "0 30 2 * * ? Europe/Berlin", "0 30 * * * ? Europe/Berlin"


@pytest.mark.parametrize(
    ("change", "nightly"),
    [
        (datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2027, 3, 28, 1, 30, tzinfo=UTC)),
        (datetime(2027, 10, 31, 1, tzinfo=UTC), datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),
    ],
    ids=["forth", "back"],
)
async def test_dst_both_ways_a_nightly_job_fires_once_and_a_rhythm_each_hour(
    home: Installation, clock: SteppedClock, change: datetime, nightly: datetime
) -> None:
    """02:30 does not exist when clocks are put forward (then it is 03:30), and comes twice when they are put
    back (then it is the first). The night passes under a beat that is up."""
    clock.step_to(change - timedelta(hours=3))
    await asyncio.to_thread(eventually, lambda: _store_s_time(home) > change - timedelta(hours=4))
    async with home.console(1) as console:
        ids = [await opened(console, NIGHTLY), await opened(console, RHYTHM)]
        with home.beat(**IN_ONE_STEP):
            clock.step_to(change + timedelta(hours=2, minutes=10))
            await reach(console, ids[1:], 5)
            await reach(console, ids[:1], 1)
        fired = [await times_of(console, one) for one in ids]

    assert fired[0] == [_ms(nightly)]
    assert fired[1] == [_ms(change + timedelta(minutes=m)) for m in (-150, -90, -30, 30, 90)]


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def _store_s_time(home: Installation) -> datetime:
    client = home.valkey.client()
    try:
        return datetime.fromtimestamp(client.time()[0], UTC)
    finally:
        client.close()


# -- none


@pytest.mark.parametrize(("misfire", "late_rounds"), [("skip", 0), ("once", 1)])
async def test_a_minute_without_any_beat_is_recorded_and_skipped_or_made_up_for_once(
    clock: SteppedClock, console: Console, home: Installation, misfire: str, late_rounds: int
) -> None:
    invoke_id = await opened(console, misfire=misfire)
    with home.beat(**IN_ONE_STEP):
        await reach(console, [invoke_id], 1)
    clock.step(90)
    with home.beat(**PATIENT):  # the last 30 s are late, not missed
        await eventually_async(lambda: _ticked_again(console, invoke_id), within=60)
        after = await console.invocation(invoke_id)
        fired = await firings(console, invoke_id)

    late = [firing for firing in fired if firing.why is Why.LATE]
    assert len(late) == late_rounds
    assert missed(after) >= 20
    times = [firing.at_ms for firing in fired if firing.why is Why.TICK]
    assert times == sorted(set(times))


async def _ticked_again(console: Console, invoke_id: InvokeId) -> bool:
    """Whether a time behind the missed ones has fired."""
    created_ms = (await console.invocation(invoke_id)).spec.created_ms
    fired = await firings(console, invoke_id)
    return any(one.why is Why.TICK and one.at_ms > created_ms + 60_000 for one in fired)
