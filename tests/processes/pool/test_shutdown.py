"""How a worker of the asyncio pool ends: warm, drained, cold, soft."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually

OwnWorker = Callable[..., AbstractContextManager[CeleryWorker]]


def test_sigterm_lets_running_tasks_end_and_gives_waiting_ones_back(
    own_line: Line, own_worker: OwnWorker
) -> None:
    gate = own_line.gate()
    with own_worker() as worker:
        running = own_line.hold(10, gate)
        waiting = [own_line.send("hold", gate) for _ in range(6)]
        eventually(lambda: own_line.slots(worker)["waiting"] == 6)

        worker.signal(signal.SIGTERM)
        eventually(lambda: own_line.redis.llen("drains") == 1)
        worker.signal(signal.SIGTERM)  # a second one changes nothing
        assert own_line.held(gate) == 10
        own_line.open(gate)

        assert worker.ended() == 0
    assert {own_line.state(task_id) for task_id in running} == {"SUCCESS"}
    assert {own_line.state(task_id) for task_id in waiting} == {"PENDING"}
    assert (own_line.unacked(), own_line.queued()) == (0, 6)
    assert own_line.redis.lrange("farewells", 0, -1) == [str(worker.pid)]


def test_tasks_that_let_go_at_the_drain_end_a_warm_shutdown_by_themselves(
    own_line: Line, own_worker: OwnWorker
) -> None:
    with own_worker() as worker:
        running = own_line.hold(5, "let-go")

        worker.signal(signal.SIGTERM)

        assert worker.ended() == 0
    assert {own_line.state(task_id) for task_id in running} == {"SUCCESS"}
    assert own_line.redis.lrange("drains", 0, -1) == [str(worker.pid)]


def test_a_shutdown_by_remote_control_drains_too(own_line: Line, own_worker: OwnWorker) -> None:
    with own_worker() as worker:
        running = own_line.hold(5, "let-go")

        own_line.app.control.shutdown(destination=[worker.name])

        assert worker.ended() == 0
    assert {own_line.state(task_id) for task_id in running} == {"SUCCESS"}
    assert own_line.unacked() == 0


def test_sigquit_unwinds_late_acked_tasks_and_gives_all_back(own_line: Line, own_worker: OwnWorker) -> None:
    gate = own_line.gate()
    with own_worker() as worker:
        running = own_line.hold(10, gate)
        waiting = [own_line.send("hold", gate) for _ in range(8)]
        eventually(lambda: own_line.slots(worker)["waiting"] == 8)

        worker.signal(signal.SIGQUIT)

        assert worker.ended() == 0
    assert (own_line.unacked(), own_line.queued()) == (0, 18)
    assert all("unwound" in own_line.journal(task_id) for task_id in running)
    assert all(own_line.journal(task_id) == [] for task_id in waiting)
    assert own_line.redis.llen("drains") == 0


def test_sigquit_after_sigterm_gives_back_what_still_runs(own_line: Line, own_worker: OwnWorker) -> None:
    with own_worker() as worker:
        own_line.hold(4, own_line.gate())

        worker.signal(signal.SIGTERM)
        eventually(lambda: own_line.redis.llen("drains") == 1)
        worker.signal(signal.SIGQUIT)

        assert worker.ended() == 0
    assert (own_line.unacked(), own_line.queued()) == (0, 4)


def test_a_second_interrupt_gives_back_what_still_runs(own_line: Line, own_worker: OwnWorker) -> None:
    with own_worker() as worker:
        own_line.hold(4, own_line.gate())

        worker.signal(signal.SIGINT)
        eventually(lambda: own_line.redis.llen("drains") == 1)
        worker.signal(signal.SIGINT)

        worker.ended()
    assert (own_line.unacked(), own_line.queued()) == (0, 4)


def test_a_cold_shutdown_under_load_never_hangs(own_line: Line, own_worker: OwnWorker) -> None:
    with own_worker(concurrency=100, settings={"POOL_SOFT_SHUTDOWN_S": "600"}) as worker:
        ending = own_line.hold(20, "let-go")
        for _ in range(300):
            own_line.send("echo", 1)

        worker.signal(signal.SIGQUIT)  # wherever the main thread is

        assert worker.ended() == 0
    assert {own_line.state(task_id) for task_id in ending} == {"SUCCESS"}
    assert own_line.unacked() == 0


def test_a_cold_shutdown_loses_early_acked_tasks_by_definition(own_line: Line, own_worker: OwnWorker) -> None:
    with own_worker() as worker:
        own_line.hold(4, own_line.gate(), task="hold_early")

        worker.signal(signal.SIGQUIT)

        assert worker.ended() == 0
    assert (own_line.unacked(), own_line.queued()) == (0, 0)


def test_a_soft_shutdown_acks_what_ends_in_time_and_gives_the_rest_back(
    own_line: Line, own_worker: OwnWorker
) -> None:
    gate = own_line.gate()
    with own_worker(settings={"POOL_SOFT_SHUTDOWN_S": "15"}) as worker:
        ending = own_line.hold(3, "let-go")
        staying = own_line.hold(7, gate)
        waiting = [own_line.send("hold", gate) for _ in range(2)]
        eventually(lambda: own_line.slots(worker)["waiting"] == 2)

        worker.signal(signal.SIGQUIT)

        assert worker.ended() == 0
    assert {own_line.state(task_id) for task_id in ending} == {"SUCCESS"}
    assert all("unwound" in own_line.journal(task_id) for task_id in staying)
    assert all(own_line.journal(task_id) == [] for task_id in waiting)
    assert (own_line.unacked(), own_line.queued()) == (0, 9)


def test_a_soft_shutdown_ends_with_its_last_task_and_not_with_its_timeout(
    own_line: Line, own_worker: OwnWorker
) -> None:
    with own_worker(settings={"POOL_SOFT_SHUTDOWN_S": "600"}) as worker:
        ending = own_line.hold(3, "let-go")

        worker.signal(signal.SIGQUIT)

        assert worker.ended() == 0
    assert {own_line.state(task_id) for task_id in ending} == {"SUCCESS"}
    assert own_line.unacked() == 0
