"""The same tasks under Celery's own pools, through the same door."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.processes.pool.line import Line
from tests.support.celery_worker import CeleryWorker
from tests.support.eventually import eventually

RETRIED_ONCE = ["postrun", "postrun", "prerun", "prerun", "retry", "success"]
"""In any order: the second try may end before the first has written that it is retried."""

OwnWorker = Callable[..., AbstractContextManager[CeleryWorker]]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_ordinary_tasks_run_as_well_under(pool: str, own_line: Line, own_worker: OwnWorker) -> None:
    gate = own_line.gate()
    with own_worker(pool=pool, concurrency=3) as worker:
        holding = own_line.hold(2, gate)
        assert own_line.outcome(own_line.send("echo", pool)) == ("SUCCESS", pool)
        own_line.open(gate)
        assert {own_line.outcome(task_id)[0] for task_id in holding} == {"SUCCESS"}
        assert own_line.outcome(own_line.send("raise_in_coroutine"))[0] == "FAILURE"
        retried = own_line.send("fail_first", 1)
        eventually(lambda: sorted(own_line.signals(retried)) == RETRIED_ONCE, within=10)

        own_line.app.control.shutdown(destination=[worker.name])
        assert worker.ended() == 0
    assert own_line.redis.llen("drains") == 1
    assert own_line.unacked() == 0


def test_under_prefork_a_soft_limit_and_a_terminate_reach_the_coroutine(
    own_line: Line, own_worker: OwnWorker
) -> None:
    with own_worker(pool="prefork", concurrency=2) as worker:
        limited = own_line.send("hold", own_line.gate(), soft_time_limit=10)
        assert own_line.outcome(limited)[0] == "FAILURE"
        eventually(lambda: "coroutine cancelled" in own_line.journal(limited))

        (terminated,) = own_line.hold(1, own_line.gate())
        own_line.app.control.revoke(terminated, terminate=True, destination=[worker.name])
        assert own_line.outcome(terminated)[0] == "REVOKED"
        assert own_line.outcome(own_line.send("echo", "alive")) == ("SUCCESS", "alive")
