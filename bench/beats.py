"""How late rounds begin with 10,000 schedules of one minute, and what the beats and the store take for them.

Part of `make bench`. Beats are processes by the command line that `cloudassist up` uses; nothing carries the
runs out, so that only the firing is measured. `late` is from the time that a round is for to the step that
opened it, by the store's clock.

    python -m bench --only beats
"""

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import usage
from bench.installation import Installation, installation
from cloudassist_tasks.cli.processes import beat_command
from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId
from cloudassist_tasks.domain.instance import Instance
from cloudassist_tasks.domain.invocation import InvocationSpec, RepeatMode
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.engine.planning import times_of
from cloudassist_tasks.ports.invocations import Opening
from tests.support.eventually import eventually_async

__all__ = ["measure"]

SCHEDULES, QUICK_SCHEDULES = 10_000, 1_000
MINUTE_MS = 60_000
OPENING_MS = 20_000
"""Time to open them all before the first is due."""

TARGET = {"latest_ms": 1_000}


def measure(*, quick: bool = False) -> dict[str, object]:
    """One minute of each kind; `quick`: of one, with fewer schedules."""
    kinds = {
        "spread over the minute, 1 beat": (_spread, 1),
        "all in one second, 1 beat": (_together, 1),
        "all in one second, 3 beats": (_together, 3),
    }
    schedules = SCHEDULES
    if quick:
        schedules, kinds = QUICK_SCHEDULES, {"all in one second, 1 beat": (_together, 1)}
    return {
        "tables": [
            {
                "title": f"beats: {schedules:,} schedules of one minute",
                "kinds": {
                    kind: asyncio.run(_measure(schedules, timing, beats))
                    for kind, (timing, beats) in kinds.items()
                },
            }
        ],
        "target": TARGET,
    }


def _spread(number: int, of: int, now_ms: int) -> tuple[str, int]:
    """Frequency and time of creation: due one after the other, from when all are opened."""
    return "rate(60s)", now_ms + OPENING_MS - MINUTE_MS + number * MINUTE_MS // of


def _together(number: int, of: int, now_ms: int) -> tuple[str, int]:
    """Due at the full minute that comes after all are opened."""
    return "0 * * * * *", now_ms + OPENING_MS


async def _measure(
    schedules: int, timing: Callable[[int, int, int], tuple[str, int]], beats: int
) -> dict[str, float]:
    async with installation() as home:
        await home.add([Instance(id=InstanceId(f"i-{n}"), host="127.0.0.1") for n in range(schedules)])
        begin_ms = home.plane.clock.now_ms()
        specs = [_spec(n, *timing(n, schedules, begin_ms)) for n in range(schedules)]
        for at in range(0, schedules, 200):
            await asyncio.gather(*(_open(home, one) for one in specs[at : at + 200]))
        with _beats(home, beats) as pids:

            async def registered() -> bool:
                return len(await home.plane.store.workers.all()) == beats

            await eventually_async(registered, within=30)
            first_ms = await home.plane.store.schedules.next_ms()
            assert first_ms is not None
            if (early_ms := first_ms - home.plane.clock.now_ms()) < 0:
                raise RuntimeError(
                    f"opening took {-early_ms / 1_000:.1f} s too long: this machine is too busy"
                )
            await _until(home, first_ms - 300)
            before, begin = _cpu(home, pids), time.monotonic()
            await _until(home, max(_first_tick_ms(one) for one in specs))
            await eventually_async(lambda: _nothing_due(home), within=60)
            took_s = time.monotonic() - begin
            beats_s, store_s = (now - was for now, was in zip(_cpu(home, pids), before, strict=True))
        late_ms = sorted(await _late_ms(home, specs))
    return {
        "late_ms_median": late_ms[len(late_ms) // 2],
        "late_ms_min": late_ms[0],
        "late_ms_p99": late_ms[len(late_ms) * 99 // 100],
        "latest_ms": late_ms[-1],
        "missed": schedules - len(late_ms),
        "took_s": round(took_s, 1),
        "beats_cpu_ms": round(1_000 * beats_s),
        "store_cpu_ms": round(1_000 * store_s),
    }


def _spec(number: int, frequency: str, created_ms: int) -> InvocationSpec:
    command = Command(
        id=CommandId(f"c-{number}"),
        name="",
        type=CommandType.SHELL,
        content=Secret(b"true\n"),
        kept=False,
    )
    return InvocationSpec(
        id=InvokeId(f"t-{number}"),
        command=command,
        timeout_s=60,
        repeat_mode=RepeatMode.PERIOD,
        frequency=frequency,
        created_ms=created_ms,
    )


def _first_tick_ms(spec: InvocationSpec) -> int:
    tick_ms = times_of(spec.timing).next_after(spec.created_ms)
    assert tick_ms is not None
    return tick_ms


async def _open(home: Installation, spec: InvocationSpec) -> None:
    tick_ms = _first_tick_ms(spec)
    await home.plane.store.invocations.open(
        Opening(
            spec=spec,
            members=[InstanceId(f"i-{spec.id.removeprefix('t-')}")],
            due_ms=tick_ms,
            tick_ms=tick_ms,
            day="2026-01-01",
            daily_quota=1_000_000,
            kept_command=False,
        ),
        now_ms=spec.created_ms,
    )


@contextmanager
def _beats(home: Installation, number: int) -> Iterator[list[int]]:
    start = beat_command(home.settings)
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for n in range(number):
            with (Path(folder) / f"beat-{n}.log").open("wb") as out:
                processes.append(
                    subprocess.Popen(
                        start.argv,
                        env=start.environ(),
                        cwd=start.directory,
                        stdout=out,
                        stderr=subprocess.STDOUT,
                    )
                )
        try:
            yield [one.pid for one in processes]
        finally:
            for one in processes:
                one.terminate()
            for one in processes:
                one.wait(timeout=20)


def _cpu(home: Installation, pids: Sequence[int]) -> tuple[float, float]:
    return sum(usage.cpu_s(pid) for pid in pids), usage.cpu_s(home.store_pid)


async def _until(home: Installation, when_ms: int) -> None:
    await asyncio.sleep(max(0, when_ms - home.plane.clock.now_ms()) / 1_000)


async def _nothing_due(home: Installation) -> bool:
    next_ms = await home.plane.store.schedules.next_ms()
    return next_ms is None or next_ms > home.plane.clock.now_ms()


async def _late_ms(home: Installation, specs: Sequence[InvocationSpec]) -> list[int]:
    """Of the first round of each; one that was missed altogether has none."""
    found = []
    for at in range(0, len(specs), 500):
        rounds = await asyncio.gather(
            *(home.plane.store.schedules.rounds(one.id, limit=5) for one in specs[at : at + 500])
        )
        firsts = [of_one[-1] for of_one in rounds if of_one]
        found += [one.opened_ms - one.firing.at_ms for one in firsts if one.firing is not None]
    return found
