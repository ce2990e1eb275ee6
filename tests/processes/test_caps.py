"""The cap on runs at once, counted on the hosts: real workers, some of them killed."""

import asyncio
from itertools import accumulate
from pathlib import Path

from cloudassist_tasks.domain.caps import Caps, Share
from cloudassist_tasks.domain.status import RunStatus
from tests.processes.conftest import Crew
from tests.support.eventually import eventually
from tests.support.gates import until
from tests.support.plane import Console, Installation, ids


def _counted(journal: Path, gate: Path) -> str:
    """A script that writes down its begin and its end, and does not end before the gate is open."""
    return f"echo +1 >> {journal}\n{until(gate)}\nsleep 0.2\necho -1 >> {journal}\n"


def _journal(home: Installation, name: str) -> tuple[Path, Path]:
    """Where scripts write down, and their gate."""
    journal = home.marks / f"journal-{name}"
    journal.touch()
    journal.chmod(0o666)
    return journal, home.marks / f"gate-{name}"


def _going(journal: Path) -> list[int]:
    """How many scripts were going on, after each begin or end."""
    return list(accumulate(int(step) for step in journal.read_text().split()))


async def test_never_more_than_three_of_twelve_run_at_once(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    crew.another()
    journal, gate = _journal(home, "three")
    keys = await console.launch(
        _counted(journal, gate), *ids(12), caps=Caps(max_concurrency=Share(25, percent=True))
    )
    await asyncio.to_thread(eventually, lambda: len(_going(journal)) >= 3, within=30)

    gate.touch()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 12}
    assert max(_going(journal)) == 3
    assert len(_going(journal)) == 24


async def test_a_killed_worker_s_runs_still_count(console: Console, home: Installation, crew: Crew) -> None:
    worker = crew.one()
    journal, gate = _journal(home, "killed")
    keys = await console.launch(_counted(journal, gate), *ids(6), caps=Caps(max_concurrency=Share(2)))
    await asyncio.to_thread(eventually, lambda: len(_going(journal)) >= 2, within=30)
    worker.process.kill()
    worker.process.wait()
    crew.another()

    gate.touch()

    assert await console.closed(keys[0].invoke_id, within=60) == {RunStatus.SUCCESS: 6}
    assert max(_going(journal)) == 2
    assert len(_going(journal)) == 12


async def test_three_failures_of_twenty_begin_no_others(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    caps = Caps(max_concurrency=Share(1), max_errors=Share(2))

    keys = await console.launch(home.marking("exit 3"), *ids(20), caps=caps)

    assert await console.closed(keys[0].invoke_id, within=60) == {
        RunStatus.FAILED: 3,
        RunStatus.CANCELLED: 17,
    }
    assert home.marked(keys[0].invoke_id) == dict.fromkeys(ids(3), 1)
