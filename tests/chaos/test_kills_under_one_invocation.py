"""A thousand kill -9s of workers in one invocation of 10,000 runs: each runs once, whole, and ends well.

Part of `make chaos`; alone: pytest -m chaos tests/chaos/test_kills_under_one_invocation.py
Smaller: CLOUDASSIST_KILLS=40 CLOUDASSIST_MEMBERS=600. The same victims again: CLOUDASSIST_KILLS_SEED.

The instances are addresses of one sshd on this machine. The kills are spread at random over the invocation's
life, which is measured in runs that have ended: so they meet it from its beginning to its end, however fast
the machine is. Where workers start slowly, scripts wait for the kills that are due.
"""

import asyncio
import os
import random
import time
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

import pytest

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.ids import InvokeId, WorkerId
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.store import keys
from tests.chaos.crew import Crew, Job, Member
from tests.chaos.evidence import left_over
from tests.chaos.records import wanted_output
from tests.support.eventually import eventually_async
from tests.support.plane import Console, Installation, ids, private_installation
from tests.support.processes import room_for_processes

KILLS = int(os.environ.get("CLOUDASSIST_KILLS") or 1_000)
MEMBERS = int(os.environ.get("CLOUDASSIST_MEMBERS") or 10_000)
SEED = int(os.environ.get("CLOUDASSIST_KILLS_SEED") or random.SystemRandom().randrange(10**6))

WORKERS = 5
LEAST_BEATING = 2
"""Nobody is killed while fewer do: there must be somebody who goes on."""
PAUSE_S = 0.5
"""A worker lives at most so much longer than it must: else all die when the next begins to beat."""
AT_ONCE = max(1, min(10 * MEMBERS // KILLS, MEMBERS // 10))
"""A run takes some ten seconds with all that befalls it, and a worker is started in about one."""
LAST_KILL = MEMBERS - 2 * AT_ONCE
"""How many runs have ended, at most, when the last kill is due: more are left then than can end before they
are told to wait for it."""
TIMEOUT_S, GRACE_S = 900, 60
CALM_S = 120
"""How long what is left over may take to go: dead workers, and sessions whose clients are dead."""
BOUND_S = 2 * CALM_S + 3 * KILLS + MEMBERS / 10

SETTINGS = {
    "CLOUDASSIST_HEARTBEAT_S": "1",
    "CLOUDASSIST_LEASE_S": "5",
    "CLOUDASSIST_RECONCILE_S": "1.5",
    "CLOUDASSIST_LIMIT_GRACE_S": str(GRACE_S),
    "CLOUDASSIST_LIMIT_DELIVERY_TIMEOUT_S": "600",
}
"""A run may be taken up again and again before it counts as not delivered: Success is what all end with."""
SCRIPT = """
id={{ACS::InstanceId}}
echo "$id begins"
sleep $((1 + ${id#i-} % 6))
while [ -e BRAKE ]; do sleep 1; done
echo "$id ends"
"""

pytestmark = pytest.mark.chaos


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    alive = {"ClientAliveInterval": "15", "ClientAliveCountMax": "3"}  # as the page on reliability asks for
    with room_for_processes(131_072), private_installation(LogLevel="ERROR", **alive) as installation:
        for name, value in installation.environment(**SETTINGS).items():
            monkeypatch.setenv(name, value)  # the crew starts its workers with our environment
        yield installation


@dataclass(slots=True)
class Kills:
    """Of workers that beat, while the invocation goes on."""

    console: Console
    crew: Crew
    invoke_id: InvokeId
    chance: random.Random
    brake: Path
    """While it exists, no script comes to its end."""
    due: list[float] = field(default_factory=list)
    """After how many ended runs each kill is."""
    made: int = 0

    async def make_all(self) -> None:
        """Each once enough runs have ended; then at a random moment."""
        self.due = sorted(self.chance.uniform(0, LAST_KILL) for _ in range(KILLS))
        for _ in range(KILLS):
            while not await self._is_time():
                await asyncio.sleep(0.05)
            await asyncio.sleep(self.chance.uniform(0, PAUSE_S))
            self.crew.kill(self.chance.choice(await self._beating()))
            self.made += 1
            self.brake.unlink(missing_ok=True)

    async def _is_time(self) -> bool:
        """Whether somebody is to be killed, and somebody goes on then. If not the latter, runs wait."""
        if bisect(self.due, await self._ended()) <= self.made:
            return False
        self.brake.touch()
        return len(await self._beating()) >= LEAST_BEATING

    async def _beating(self) -> Sequence[Member]:
        """Those who can have claimed a run. One says that it is ready before: it takes messages by then."""
        known = {info.pid for info in await self.console.plane.store.workers.all()}
        return [one for one in self.crew.alive(Job.WORKER) if one.process.pid in known]

    async def _ended(self) -> int:
        """How many runs have. The tally adds up whenever it is read."""
        tally = await self.console.tally(self.invoke_id)
        assert sum(tally.values()) == MEMBERS
        assert set(tally) <= {RunStatus.PENDING, RunStatus.RUNNING, RunStatus.SUCCESS}
        ended = tally.get(RunStatus.SUCCESS, 0)
        assert ended < MEMBERS, f"all have ended after {self.made} of {KILLS} kills"
        return ended


async def test_a_thousand_kills_in_one_invocation_of_ten_thousand_cost_no_run(
    home: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, brake = home.directory / "logs", home.directory / "brake"
    logs.mkdir()
    crew, over = Crew(logs, 0, {Job.WORKER: WORKERS}), asyncio.Event()
    async with home.console(MEMBERS, emptied=True, **SETTINGS) as console:
        keeping = asyncio.create_task(crew.keep(over))
        try:
            assert await crew.await_complete(CALM_S)
            began_s = time.monotonic()
            caps = Caps(max_concurrency=Share(AT_ONCE))
            script = home.marking(SCRIPT.replace("BRAKE", str(brake)))
            opened = await console.open(script, *ids(MEMBERS), timeout_s=TIMEOUT_S, caps=caps)
            kills = Kills(console, crew, opened.invoke_id, random.Random(SEED), brake)
            await _within_bound(kills)
            took_s = time.monotonic() - began_s
            assert await crew.await_complete(CALM_S)
            await _only_the_living_are_known(console, crew)
            await eventually_async(
                lambda: _nothing_left_in_store(home, opened.invoke_id), within=CALM_S, every=1
            )
        finally:
            over.set()
            await keeping
            await crew.close()
        runs = await _runs(console, opened.invoke_id)
        deliveries = [run.deliveries for run in runs]
        with capsys.disabled():
            print(
                f"\n{MEMBERS} members, {kills.made} kills in {took_s:.0f} s, {AT_ONCE} at once, seed {SEED}:"
                f" {sum(n > 1 for n in deliveries)} runs met by a kill or more, delivered"
                f" {max(deliveries)} times at most, {sum(deliveries)} times in all"
            )
        assert kills.made == KILLS
        assert sum(n > 1 for n in deliveries) > KILLS / 10, "the kills have hardly met a run"
        await _each_ran_once_and_whole(console, opened.invoke_id, runs)
        _all_workers_ended_as_they_were_told(crew)
        await eventually_async(lambda: _nothing_left_on_hosts(home, opened.invoke_id), within=CALM_S, every=1)


async def _within_bound(kills: Kills) -> None:
    """All kills made, and all runs ended."""
    console, invoke_id = kills.console, kills.invoke_id
    try:
        async with asyncio.timeout(BOUND_S):
            await kills.make_all()
            tally = await console.closed(invoke_id, within=BOUND_S)  # which equals a fold over the runs
    except (AssertionError, TimeoutError) as error:
        error.add_note(f"seed {SEED}, {kills.made} kills made")
        error.add_note(_what_is_not_well(await _runs(console, invoke_id)))
        raise
    assert tally == {RunStatus.SUCCESS: MEMBERS}


def _what_is_not_well(runs: Sequence[Run]) -> str:
    """Those that ended otherwise than they should, and those that are open since longest."""
    odd = [run for run in runs if run.finish_ms and run.status is not RunStatus.SUCCESS]
    open_ = sorted((run for run in runs if not run.finish_ms), key=lambda run: run.update_ms or 10**15)
    told = [f"{len(odd)} ended otherwise, {len(open_)} are open", *map(repr, [*odd[:5], *open_[:5]])]
    return "\n".join(told)


async def _runs(console: Console, invoke_id: InvokeId) -> Sequence[Run]:
    members = await console.plane.store.invocations.members(invoke_id, limit=MEMBERS)
    return await console.plane.store.runs.of(await console.invocation(invoke_id), members)


async def _each_ran_once_and_whole(console: Console, invoke_id: InvokeId, runs: Sequence[Run]) -> None:
    assert {run.status for run in runs} == {RunStatus.SUCCESS}
    assert {str(run.key.instance_id) for run in runs} == set(ids(MEMBERS))
    assert console.home.marked(invoke_id) == dict.fromkeys(ids(MEMBERS), 1)
    outputs = await wanted_output(console.plane, [run.key for run in runs])
    wrong = {
        str(key.instance_id): output.head + output.tail
        for key, output in outputs.items()
        if output.head + output.tail != f"{key.instance_id} begins\n{key.instance_id} ends\n".encode()
    }
    assert wrong == {}
    assert [run.key for run in runs if run.finish_ms - run.launch_ms > 1_000 * (TIMEOUT_S + GRACE_S)] == []


async def _only_the_living_are_known(console: Console, crew: Crew) -> None:
    """Each worker that lives beats; those that were killed are buried."""

    async def known() -> bool:
        infos = await console.plane.store.workers.all()
        return {info.pid for info in infos} == {one.process.pid for one in crew.alive(Job.WORKER)}

    await eventually_async(known, within=CALM_S, every=0.5)


def _all_workers_ended_as_they_were_told(crew: Crew) -> None:
    gone = [*crew.crashed(), *crew.not_started()]
    assert [(one.name, one.log.read_text(errors="replace")[-600:]) for one in gone] == []
    codes = Counter((one.ended_by, one.process.returncode) for one in crew.members)
    assert codes == {("kill -9", -SIGKILL): KILLS, ("SIGTERM", 0): WORKERS}


async def _nothing_left_in_store(home: Installation, invoke_id: InvokeId) -> bool:
    """Nothing due, held, open or waiting, and no message."""
    found = await asyncio.to_thread(_left_in_store, home, invoke_id)
    if found:
        print(f"still in the store: {found}")
    return not found


def _left_in_store(home: Installation, invoke_id: InvokeId) -> Mapping[str, str]:
    client = home.valkey.client()
    names = [keys.DUE, keys.DUE_INSTANCES, keys.DEADLINES, keys.FENCES, keys.STOPPING, keys.OPEN, keys.OUTBOX]
    names += [keys.unpublished(invoke_id), keys.unclaimed(invoke_id)]
    found = {name: str(client.type(name)) for name in names if client.exists(name)}
    for pattern in (
        "ca:instance:*:slots",
        "ca:instance:*:waiting",
        "ca:instance:*:adrift",
        keys.claims(WorkerId("*")),
    ):
        found |= {str(name): "left" for name in client.scan_iter(match=pattern, count=10_000)}
    client.close()
    return found | {str(message.key): "message" for message in home.messages()}


async def _nothing_left_on_hosts(home: Installation, invoke_id: InvokeId) -> bool:
    """No process of any of its runs, and none of the helper."""
    found = await asyncio.to_thread(left_over, [home.sshd.base])
    return not [one for one in found if one == "helper" or one.startswith(f"{invoke_id}.")]
