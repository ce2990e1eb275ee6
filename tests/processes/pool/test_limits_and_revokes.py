"""Time limits and revokes keep Celery's meaning and reach the coroutine."""

from functools import partial

from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually


def nothing_left(line: Line) -> bool:
    return line.unacked() == 0 and line.queued() == 0


def dropped(line: Line, task_id: str) -> bool:
    """Whether the worker has met the message of a revoked task. The revoke itself has set its state."""
    return "revoked" in line.signals(task_id)


def unwound(line: Line, task_id: str) -> bool:
    return set(line.journal(task_id)) == {"started", "coroutine cancelled", "unwound"}


def test_a_soft_limit_cancels_the_coroutine_then_raises_in_the_task(line: Line) -> None:
    task_id = line.send("hold", line.gate(), soft_time_limit=0.3)

    state, error = line.outcome(task_id)

    assert state == "FAILURE"
    assert isinstance(error, SoftTimeLimitExceeded)
    assert line.journal(task_id) == ["started", "coroutine cancelled", "soft limit", "unwound"]
    eventually(lambda: line.signals(task_id) == ["prerun", "failure", "postrun"])
    eventually(lambda: nothing_left(line))


def test_a_hard_limit_fails_the_task_and_unwinds_it(line: Line) -> None:
    task_id = line.send("hold", line.gate(), time_limit=0.3)

    state, error = line.outcome(task_id)

    assert state == "FAILURE"
    assert isinstance(error, TimeLimitExceeded)
    eventually(lambda: unwound(line, task_id))
    eventually(lambda: sorted(line.signals(task_id)) == ["failure", "postrun", "prerun"])
    eventually(lambda: nothing_left(line))


def test_a_task_revoked_before_it_arrives_never_starts(line: Line, worker: CeleryWorker) -> None:
    line.outcome(line.send("echo", 0))  # a worker that has taken a message listens to commands, too
    line.control(worker, "revoke", "revoked-before")
    line.send("hold", line.gate(), task_id="revoked-before")

    eventually(lambda: dropped(line, "revoked-before"))
    assert line.outcome("revoked-before")[0] == "REVOKED"
    assert line.journal("revoked-before") == []
    eventually(lambda: nothing_left(line))


def test_a_task_revoked_before_its_eta_never_starts(line: Line, worker: CeleryWorker) -> None:
    gate = line.gate()
    holding = line.hold(10, gate)  # so that it does not start if the revoke comes late
    task_id = line.send("hold", gate, countdown=1)
    eventually(lambda: line.unacked() == 11)
    line.control(worker, "revoke", task_id)

    line.open(gate)

    assert {line.outcome(task_id)[0] for task_id in holding} == {"SUCCESS"}
    eventually(lambda: dropped(line, task_id))
    assert line.outcome(task_id)[0] == "REVOKED"
    assert line.journal(task_id) == []
    eventually(lambda: nothing_left(line))


def test_tasks_revoked_while_they_wait_for_a_slot_never_start(line: Line, worker: CeleryWorker) -> None:
    gate = line.gate()
    holding = line.hold(10, gate)
    plain, terminated = line.send("hold", gate), line.send("hold", gate)
    eventually(lambda: line.slots(worker)["waiting"] == 2)
    line.control(worker, "revoke", plain)
    line.control(worker, "revoke", terminated, terminate=True)

    line.open(gate)

    assert {line.outcome(task_id)[0] for task_id in holding} == {"SUCCESS"}
    eventually(lambda: dropped(line, plain) and dropped(line, terminated))
    assert {line.outcome(task_id)[0] for task_id in (plain, terminated)} == {"REVOKED"}
    assert line.journal(plain) == line.journal(terminated) == []
    eventually(lambda: nothing_left(line))


def test_a_terminated_task_is_unwound_revoked_and_acked(line: Line, worker: CeleryWorker) -> None:
    gate = line.gate()
    holding = line.hold(10, gate)

    line.control(worker, "revoke", holding, terminate=True)

    assert {line.outcome(task_id)[0] for task_id in holding} == {"REVOKED"}
    for task_id in holding:
        eventually(partial(unwound, line, task_id))
        assert "revoked" in line.signals(task_id)
    eventually(lambda: nothing_left(line))
    eventually(lambda: line.slots(worker)["running"] == 0)
