"""The door between synchronous callers and the loop, with real threads, forks and greenlets."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from cloudassist_tasks import runtime
from cloudassist_tasks.runtime import TaskGreenlet, at_close, await_, blocking, process_loop
from tests.support.eventually import eventually

T = TypeVar("T")
color: ContextVar[str] = ContextVar("color", default="none")


@pytest.fixture(autouse=True)
def _closed_after() -> Iterator[None]:
    yield
    runtime.close()


async def thread_name() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise KeyError("gone")


def test_a_coroutine_runs_on_the_loop_thread_and_its_result_comes_back() -> None:
    assert await_(thread_name()) == "process-loop"


def test_an_error_of_the_coroutine_is_raised_to_the_caller() -> None:
    with pytest.raises(KeyError, match="gone"):
        await_(fail())


def test_the_coroutine_sees_the_callers_context_variables() -> None:
    async def seen() -> str:
        return color.get()

    token = color.set("blue")
    try:
        assert await_(seen()) == "blue"
    finally:
        color.reset(token)


def test_many_threads_wait_on_one_loop() -> None:
    everyone_is_here: list[asyncio.Barrier] = []
    results: list[int] = []

    async def make() -> None:
        everyone_is_here.append(asyncio.Barrier(20))

    async def meet(number: int) -> int:
        await everyone_is_here[0].wait()
        return number

    await_(make())
    threads = [threading.Thread(target=lambda n=n: results.append(await_(meet(n)))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == list(range(20))


def test_an_interrupted_wait_cancels_the_coroutine() -> None:
    ended: list[str] = []
    waiting = threading.Event()

    async def hang() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    def interrupt() -> None:
        waiting.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        await_(hang())

    eventually(lambda: ended == ["cancelled"])


def test_a_long_wait_gives_the_result_and_the_coroutine_s_own_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is a series of short ones, whose ends nobody sees."""
    monkeypatch.setattr(runtime, "HEAR_S", 0.01)

    async def answer() -> str:
        await asyncio.sleep(0.1)
        return "ok"

    async def give_up() -> None:
        await asyncio.sleep(0.1)
        raise TimeoutError("its own")

    assert await_(answer()) == "ok"
    with pytest.raises(TimeoutError, match="its own"):
        await_(give_up())


def test_an_interrupt_before_the_wait_has_begun_cancels_the_coroutine_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    begun = threading.Event()
    hand_over = asyncio.run_coroutine_threadsafe

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    def interrupted(*arguments: Any) -> None:
        hand_over(*arguments)
        eventually(begun.is_set)
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        await_(hang())

    eventually(lambda: ended == ["cancelled"])


def test_waiting_on_the_loop_thread_is_refused_with_advice() -> None:
    async def wrong() -> str:
        return await_(thread_name())

    with pytest.raises(RuntimeError, match="use `await`"):
        await_(wrong())


def test_blocking_the_loop_thread_is_refused_with_advice() -> None:
    async def wrong() -> str:
        return blocking(lambda: "never")

    with pytest.raises(RuntimeError, match="to_thread"):
        await_(wrong())


def test_closing_from_the_loop_thread_is_refused_with_advice() -> None:
    async def wrong() -> None:
        runtime.close()

    with pytest.raises(RuntimeError, match="from another"):
        await_(wrong())


def test_blocking_outside_a_task_is_a_plain_call() -> None:
    assert blocking(threading.current_thread) is threading.current_thread()


def test_a_forked_child_gets_a_loop_of_its_own_and_the_parent_keeps_its() -> None:
    before = process_loop()
    assert await_(thread_name()) == "process-loop"

    child = os.fork()
    if child == 0:
        ours = process_loop()
        good = ours is not before and await_(thread_name()) == "process-loop"
        os._exit(0 if good else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert process_loop() is before
    assert await_(thread_name()) == "process-loop"


def test_close_says_farewell_cancels_what_is_left_and_a_later_caller_gets_a_new_loop() -> None:
    told: list[str] = []
    home = process_loop()

    async def farewell() -> None:
        told.append("farewell")

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("cancelled")

    async def leave_behind() -> "asyncio.Task[None]":
        return asyncio.create_task(hang())

    at_close(farewell)
    task = await_(leave_behind())
    runtime.close(grace_s=30)

    assert told == ["farewell", "cancelled"]
    assert task.cancelled()
    assert not home.thread.is_alive()
    assert home.loop.is_closed()
    assert await_(thread_name()) == "process-loop"
    assert process_loop() is not home


def test_close_outlasts_a_coroutine_that_will_not_end() -> None:
    home = process_loop()

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    home.loop.set_exception_handler(lambda *_: None)  # told, some time later, that a task was left pending
    home.loop.call_soon_threadsafe(lambda: asyncio.ensure_future(stubborn()))
    runtime.close(grace_s=0.1)

    home.thread.join(30)
    assert not home.thread.is_alive()


def test_close_without_a_loop_does_nothing() -> None:
    runtime.close()
    runtime.close()


class ByHand:
    """The smallest pool: parks its greenlet and resumes it when the awaitable is done."""

    def __init__(self, task: Callable[[], object]) -> None:
        self.greenlet = TaskGreenlet(task, self)
        self.greenlet.switch()

    def wait(self, awaitable: Awaitable[T]) -> T:
        future = asyncio.ensure_future(awaitable)
        future.add_done_callback(lambda _: self.greenlet.switch())
        self.greenlet.parent.switch()
        return future.result()


def test_in_a_task_greenlet_waiting_and_blocking_leave_the_loop_thread_free() -> None:
    seen: list[str] = []

    def task() -> None:
        seen.append(await_(thread_name()))
        seen.append(blocking(lambda: threading.current_thread().name))

    process_loop().loop.call_soon_threadsafe(ByHand, task)

    eventually(lambda: len(seen) == 2)
    assert seen[0] == "process-loop"
    assert seen[1].startswith("blocking")
