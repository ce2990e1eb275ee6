"""What a process may wait for is counted while it is awake: a stop or a lack of turns blames nobody else."""

import asyncio
import time

import pytest

from cloudassist_tasks import awake


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "TICK_S", 0.1)
    monkeypatch.setattr(awake, "LATE_S", 0.1)


async def test_what_came_while_we_were_stopped_is_heard() -> None:
    heard, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.call_soon(time.sleep, 0.6)
    loop.call_later(0.5, lambda: loop.call_soon(heard.set))  # two turns of the loop after we are awake again

    async with awake.timeout(0.3):
        await heard.wait()

    assert heard.is_set()


async def test_silence_ends_the_wait() -> None:
    begun = time.monotonic()

    with pytest.raises(TimeoutError):
        async with awake.timeout(0.25):
            await asyncio.Event().wait()

    assert time.monotonic() - begun >= 0.25


async def test_silence_ends_the_wait_of_a_process_that_is_always_late() -> None:
    loop = asyncio.get_running_loop()

    async def sluggish() -> None:
        while True:
            loop.call_soon(time.sleep, 0.25)
            await asyncio.sleep(0)

    other = asyncio.create_task(sluggish())
    with pytest.raises(TimeoutError):
        async with awake.timeout(0.5):
            await asyncio.Event().wait()
    other.cancel()


async def test_a_wait_that_has_ended_ends_nothing_else() -> None:
    async with awake.timeout(0.1):
        pass

    await asyncio.sleep(0.3)


async def test_who_is_cancelled_in_a_wait_is_cancelled() -> None:
    async def wait() -> None:
        async with awake.timeout(10):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
