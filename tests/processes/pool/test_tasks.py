"""What a task sees and what becomes of it under the asyncio pool, in a real worker process."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually


def test_each_of_many_interleaved_tasks_keeps_its_own_request_and_context(line: Line) -> None:
    sent = [line.send("interleave", mine, 20) for mine in range(40)]

    outcomes = [line.outcome(task_id) for task_id in sent]

    assert outcomes == [("SUCCESS", [])] * 40


def test_a_blocking_call_parks_its_task_and_the_others_go_on(line: Line) -> None:
    gate = line.gate()
    (blocked,) = line.hold(1, gate, task="hold_blocking")

    assert line.outcome(line.send("echo", "free")) == ("SUCCESS", "free")
    assert line.state(blocked) == "STARTED"

    line.open(gate)
    assert line.outcome(blocked) == ("SUCCESS", "passed")


def test_a_task_that_retries_ends_well_with_its_retries_counted(line: Line) -> None:
    task_id = line.send("fail_first", 2)

    assert line.outcome(task_id) == ("SUCCESS", 2)
    eventually(lambda: line.signals(task_id).count("postrun") == 3)
    assert line.signals(task_id).count("retry") == 2


def test_a_task_with_an_eta_starts_then_and_not_before(line: Line) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=1)
    task_id = line.send("echo", 1, eta=eta)

    assert line.outcome(task_id) == ("SUCCESS", 1)
    assert line.app.AsyncResult(task_id).date_done.replace(tzinfo=UTC) >= eta


def test_an_exception_fails_the_task_whether_raised_in_it_or_in_its_coroutine(line: Line) -> None:
    in_task, in_coroutine = line.send("raise_in_task"), line.send("raise_in_coroutine")

    assert line.outcome(in_task)[0] == "FAILURE"
    state, error = line.outcome(in_coroutine)

    assert state == "FAILURE"
    assert isinstance(error, LookupError)
    eventually(lambda: line.signals(in_coroutine) == ["prerun", "failure", "postrun"])


def test_a_task_that_exits_fails_alone_and_the_worker_lives(line: Line) -> None:
    state, error = line.outcome(line.send("exit"))

    assert state == "FAILURE"
    assert "WorkerLostError" in repr(error)
    assert line.outcome(line.send("echo", "alive")) == ("SUCCESS", "alive")


def test_a_success_sends_its_signals_in_order(line: Line) -> None:
    task_id = line.send("echo", 1)

    line.outcome(task_id)

    eventually(lambda: line.signals(task_id) == ["prerun", "success", "postrun"])


def test_a_task_that_blocks_the_loop_is_named_in_a_warning(line: Line, worker: CeleryWorker) -> None:
    task_id = line.send("block_the_loop", 0.3)

    eventually(lambda: f"Task block_the_loop[{task_id}] blocked the pool's loop for " in worker.log)
    assert line.slots(worker)["loop-max-lag"] > 0


def test_a_stalled_loop_is_logged_with_its_stack_while_it_hangs(line: Line, worker: CeleryWorker) -> None:
    begin = len(worker.log)
    said = ("The pool's loop has stalled for ", "in block_the_loop\n    time.sleep(for_s)")
    task_id = line.send("block_the_loop", 4.5)

    eventually(lambda: all(words in worker.log[begin:] for words in said))
    assert line.outcome(task_id)[0] == "SUCCESS"


def test_the_pool_refuses_to_start_where_requests_would_mix(own_line: Line) -> None:
    environment = {**os.environ, **own_line.environment, "USE_FAST_LOCALS": "1"}
    environment["CELERY_CUSTOM_WORKER_POOL"] = "workers.pools:AsyncioPool"
    command = [sys.executable, "-m", "celery", "-A", "tests.processes.pool.worker_app:app", "worker"]

    ended = subprocess.run([*command, "-P", "custom"], env=environment, capture_output=True, text=True)

    assert ended.returncode != 0
    assert "USE_FAST_LOCALS mixes up tasks' requests" in ended.stdout + ended.stderr
