"""What is left when the worker or the broker goes without a word."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.processes.pool.conftest import APP
from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker, celery_worker
from tests.support.eventually import eventually
from tests.support.valkey import ValkeyServer, private_valkey

OwnWorker = Callable[..., AbstractContextManager[CeleryWorker]]


def test_a_killed_workers_late_acked_tasks_stay_unacked_and_another_worker_gets_them(
    own_line: Line, own_worker: OwnWorker
) -> None:
    gate = own_line.gate()
    with own_worker() as worker:
        late = own_line.hold(6, gate)
        early = own_line.hold(3, gate, task="hold_early")
        eventually(lambda: own_line.unacked() == 6)  # the early ones are acked a moment after they begin
        worker.signal(signal.SIGKILL)
        assert worker.ended() == -signal.SIGKILL
    assert (own_line.unacked(), own_line.queued()) == (6, 0)

    own_line.open(gate)
    with own_worker(settings={"POOL_VISIBILITY_S": "1"}):
        assert {own_line.outcome(task_id, within=30)[0] for task_id in late} == {"SUCCESS"}
        eventually(lambda: own_line.unacked() == 0)

    assert {own_line.state(task_id) for task_id in early} == {"STARTED"}


def test_a_task_that_crashes_its_worker_takes_the_others_with_it_but_not_their_messages(
    own_line: Line, own_worker: OwnWorker
) -> None:
    with own_worker() as worker:
        own_line.hold(4, own_line.gate())
        own_line.send("crash")
        assert worker.ended() == -signal.SIGKILL

    assert own_line.unacked() == 5


def test_held_tasks_outlive_a_restart_of_the_broker_and_no_slot_is_given_twice(valkey: ValkeyServer) -> None:
    with private_valkey() as broker:
        line = Line(broker=broker, state=valkey, db=31)
        gate, later = line.gate(), line.gate()
        with celery_worker(APP, environment=line.environment) as worker:
            holding = line.hold(8, gate, task="hold_early")

            broker.stop()
            eventually(lambda: "Connection to broker lost" in worker.log, within=20)
            assert line.held(gate) == 8
            broker.start()

            sent = [line.send("hold_early", later) for _ in range(6)]
            eventually(lambda: line.held(later) == 2, within=30)
            eventually(lambda: line.occupancy(worker) == (10, 4, 10))
            line.open(gate)
            line.open(later)
            assert {line.outcome(task_id)[0] for task_id in holding + sent} == {"SUCCESS"}


def test_sigquit_ends_a_worker_whose_broker_is_gone(valkey: ValkeyServer) -> None:
    with private_valkey() as broker:
        line = Line(broker=broker, state=valkey, db=32)
        with celery_worker(APP, environment=line.environment) as worker:
            (held,) = line.hold(1, line.gate())
            broker.stop()
            eventually(lambda: "Connection to broker lost" in worker.log, within=20)

            worker.signal(signal.SIGQUIT)

            worker.ended()
        assert "unwound" in line.journal(held)
