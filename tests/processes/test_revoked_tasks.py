"""Whoever revokes a run's task in Flower or by `celery control` delays the run; only a stop ends it."""

import signal

from celery import Celery

from cloudassist_tasks.domain.status import RunStatus
from cloudassist_tasks.tasks.app import create_app
from tests.processes.conftest import Crew, claimed_again
from tests.support.gates import until
from tests.support.plane import Console, Installation


def _app(home: Installation) -> Celery:
    return create_app(home.settings(), home.valkey.broker_url(1))


async def test_a_task_that_is_terminated_while_it_carries_leaves_its_run_to_another(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    gate = home.directory / "gate"
    (key,) = await console.launch(home.marking(f"echo a; {until(gate)}; echo b"))
    carried = await console.reaches(key, RunStatus.RUNNING)

    _app(home).control.revoke(key.run_id, terminate=True)
    await claimed_again(console, carried)
    gate.touch()

    await console.reaches(key, RunStatus.SUCCESS, within=40)
    assert await console.output(key) == b"a\nb\n"
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_task_that_is_revoked_before_it_begins_runs_after_all(
    console: Console, home: Installation, crew: Crew
) -> None:
    """Its worker drops the message unread; another message, with an id of its own, follows."""
    worker = crew.one()
    worker.signal(signal.SIGSTOP)  # so that the revoke is heard before the message
    (key,) = await console.launch(home.marking("echo ok"), "i-1")
    home.lose_messages()
    _app(home).control.revoke(key.run_id)
    await console.plane.dispatch.publish([key], express=True)
    worker.signal(signal.SIGCONT)

    await console.reaches(key, RunStatus.SUCCESS, within=40)
    assert home.marked(key.invoke_id) == {"i-1": 1}


async def test_a_stop_ends_a_run_whose_task_was_revoked(
    console: Console, home: Installation, crew: Crew
) -> None:
    crew.one()
    (key,) = await console.launch(home.marking("sleep 300"))
    await console.reaches(key, RunStatus.RUNNING)
    _app(home).control.revoke(key.run_id, terminate=True)

    await console.stop(key.invoke_id)

    await console.reaches(key, RunStatus.TERMINATED, within=40)
    assert home.processes_of(key.invoke_id, "i-1") == []
