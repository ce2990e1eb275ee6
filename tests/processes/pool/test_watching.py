"""Whoever watches or resizes a worker of the asyncio pool sees what Celery promises."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread
from typing import Any

import pytest
from celery.events import EventReceiver

from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually

OwnWorker = Callable[..., AbstractContextManager[CeleryWorker]]


@contextmanager
def received(line: Line) -> Iterator[list[tuple[str, str]]]:
    """Collects (kind, task id) of the task events while it lasts."""
    events: list[tuple[str, str]] = []
    receivers: list[EventReceiver] = []

    def note(event: dict[str, Any]) -> None:
        events.append((event["type"], event.get("uuid", "")))

    def receive() -> None:
        with line.app.connection() as connection:
            receivers.append(line.app.events.Receiver(connection, handlers={"*": note}))
            receivers[0].capture()  # it begins by asking every worker for a heartbeat

    thread = Thread(target=receive)
    thread.start()
    try:
        eventually(lambda: ("worker-heartbeat", "") in events)
        yield events
    finally:
        receivers[0].should_stop = True
        thread.join()


def test_an_event_receiver_sees_every_step_of_a_task(line: Line, worker: CeleryWorker) -> None:
    with received(line) as events:
        good, bad, again = line.send("echo", 1), line.send("raise_in_task"), line.send("fail_first", 1)
        (killed,) = line.hold(1, line.gate())
        line.app.control.revoke(killed, terminate=True)

        def kinds(task_id: str) -> list[str]:
            return [kind for kind, of in events if of == task_id]

        eventually(lambda: kinds(good) == ["task-received", "task-started", "task-succeeded"])
        eventually(lambda: kinds(bad) == ["task-received", "task-started", "task-failed"])
        eventually(lambda: "task-retried" in kinds(again) and "task-succeeded" in kinds(again))
        eventually(lambda: kinds(killed) == ["task-received", "task-started", "task-revoked"])


def test_inspect_tells_what_runs_what_waits_and_how_many_slots_there_are(
    line: Line, worker: CeleryWorker
) -> None:
    gate = line.gate()
    holding = line.hold(10, gate)
    waiting = [line.send("hold", gate) for _ in range(3)]
    eventually(lambda: line.slots(worker)["waiting"] == 3)

    assert line.inspect(worker, "ping") == {"ok": "pong"}
    assert {task["id"] for task in line.inspect(worker, "active")} == set(holding)
    assert set(waiting) <= {task["id"] for task in line.inspect(worker, "reserved")}
    slots = line.slots(worker)
    assert (slots["max-concurrency"], slots["running"]) == (10, 10)
    assert slots["implementation"] == "workers.pools:AsyncioPool"
    assert slots["processes"] == [worker.pid]

    line.open(gate)
    assert {line.outcome(task_id)[0] for task_id in holding + waiting} == {"SUCCESS"}


def test_a_pool_grows_by_as_many_tasks_as_asked_and_shrinks_as_they_end(
    line: Line, worker: CeleryWorker
) -> None:
    gate, later = line.gate(), line.gate()
    first = line.hold(10, gate)
    rest = [line.send("hold", later) for _ in range(12)]
    eventually(lambda: line.slots(worker)["waiting"] == 12)

    line.control(worker, "pool_grow", 5)
    eventually(lambda: line.held(later) == 5)
    assert line.occupancy(worker) == (15, 7, 15)

    line.control(worker, "pool_shrink", 11)
    line.open(gate)
    assert {line.outcome(task_id)[0] for task_id in first} == {"SUCCESS"}
    eventually(lambda: line.occupancy(worker) == (5, 7, 4))  # a result is stored before its slot is free

    line.open(later)
    assert {line.outcome(task_id)[0] for task_id in rest} == {"SUCCESS"}
    line.control(worker, "pool_grow", 6)
    assert line.slots(worker)["max-concurrency"] == 10


def test_autoscale_grows_to_its_most_and_comes_back_to_its_least(
    own_line: Line, own_worker: OwnWorker
) -> None:
    gate = own_line.gate()

    with own_worker(
        concurrency=None, options=["--autoscale=12,2"], settings={"AUTOSCALE_KEEPALIVE": "1"}
    ) as worker:
        sent = [own_line.send("hold", gate) for _ in range(20)]
        eventually(lambda: own_line.held(gate) == 12, within=20)
        assert own_line.slots(worker)["max-concurrency"] == 12

        own_line.open(gate)
        assert {own_line.outcome(task_id)[0] for task_id in sent} == {"SUCCESS"}
        eventually(lambda: own_line.slots(worker)["max-concurrency"] == 2, within=30)


@pytest.mark.parametrize(
    ("multiplier", "disable", "unacked"), [(4, "0", 20), (4, "1", 5)], ids=["multiplier-4", "disabled"]
)
def test_a_worker_takes_no_more_messages_than_its_prefetch_says(
    own_line: Line, own_worker: OwnWorker, multiplier: int, disable: str, unacked: int
) -> None:
    gate = own_line.gate()

    with own_worker(
        concurrency=5, settings={"POOL_MULTIPLIER": str(multiplier), "POOL_DISABLE_PREFETCH": disable}
    ) as worker:
        sent = [own_line.send("hold", gate) for _ in range(30)]
        eventually(lambda: own_line.unacked() == unacked and own_line.held(gate) == 5, within=20)
        assert own_line.inspect(worker, "ping")  # its hub has turned meanwhile
        assert (own_line.unacked(), own_line.queued()) == (unacked, 30 - unacked)

        own_line.open(gate)
        assert {own_line.outcome(task_id)[0] for task_id in sent} == {"SUCCESS"}
