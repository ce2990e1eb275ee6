"""Time limits and revokes keep Celery's meaning and reach the coroutine."""

from functools import partial

from celery.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually


def revoke(line: Line, worker: CeleryWorker, task_id: str, **options: object) -> None:
    line.app.control.revoke(task_id, destination=[worker.name], reply=True, timeout=10, **options)


def nothing_left(line: Line) -> bool:
    return line.unacked() == 0 and line.queued() == 0


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
    revoke(line, worker, "revoked-before")
    line.send("hold", line.gate(), task_id="revoked-before")

    assert line.outcome("revoked-before")[0] == "REVOKED"
    assert line.journal("revoked-before") == []
    eventually(lambda: nothing_left(line))


def test_a_task_revoked_before_its_eta_never_starts(line: Line, worker: CeleryWorker) -> None:
    task_id = line.send("hold", line.gate(), countdown=1)
    eventually(lambda: line.unacked() == 1)
    revoke(line, worker, task_id)

    assert line.outcome(task_id)[0] == "REVOKED"
    assert line.journal(task_id) == []
    eventually(lambda: nothing_left(line))


def test_tasks_revoked_while_they_wait_for_a_slot_never_start(line: Line, worker: CeleryWorker) -> None:
    gate = line.gate()
    holding = line.hold(10, gate)
    plain, terminated = line.send("hold", gate), line.send("hold", gate)
    eventually(lambda: line.slots(worker)["waiting"] == 2)
    revoke(line, worker, plain)
    revoke(line, worker, terminated, terminate=True)

    line.open(gate)

    assert {line.outcome(task_id)[0] for task_id in holding} == {"SUCCESS"}
    assert {line.outcome(task_id)[0] for task_id in (plain, terminated)} == {"REVOKED"}
    assert line.journal(plain) == line.journal(terminated) == []
    eventually(lambda: nothing_left(line))


def test_a_terminated_task_is_unwound_revoked_and_acked(line: Line, worker: CeleryWorker) -> None:
    gate = line.gate()
    holding = line.hold(10, gate)

    revoke(line, worker, holding, terminate=True)  # type: ignore[arg-type]

    assert {line.outcome(task_id)[0] for task_id in holding} == {"REVOKED"}
    for task_id in holding:
        eventually(partial(unwound, line, task_id))
        assert "revoked" in line.signals(task_id)
    eventually(lambda: nothing_left(line))
    assert line.slots(worker)["running"] == 0
