"""Workers that died half-way, and a pass of reconcile late enough to see it."""

from cloudassist_tasks.domain.ids import RunKey, WorkerId
from cloudassist_tasks.engine.execute import execute
from cloudassist_tasks.engine.reconcile import reconcile
from cloudassist_tasks.engine.worker import Worker
from cloudassist_tasks.ports.runs import Held
from cloudassist_tasks.ports.workers import WorkerInfo
from cloudassist_tasks.tasks.names import RUN
from tests.support.plane import Console


async def mended(console: Console, worker: Worker) -> list[RunKey]:
    """A pass after so long that whatever was handed out is handed out again; the runs that it published."""
    console.clock.ahead_ms += 100_000
    await worker.plane.store.workers.beat(worker.id, now_ms=console.clock.now_ms())
    await reconcile(worker)
    return [message.key for message in console.home.messages() if message.task == RUN]


async def held_by_a_dead_worker(console: Console, key: RunKey, *, launched: bool, boot_id: str = "") -> Held:
    """As a process leaves it that dies after its claim, or after the Launching commit."""
    store, now_ms = console.plane.store, console.clock.now_ms()
    name = WorkerId(f"dead-{console.plane.new_id('')}")
    info = WorkerInfo(id=name, host="test", pid=1, kind="worker", started_ms=now_ms)
    await store.workers.register(info, now_ms=now_ms)
    claim = await store.runs.claim(key, worker=name, now_ms=now_ms, at_once=10, may_wait=50)
    assert claim.held is not None
    if launched:
        moved = await store.runs.commit_launching(
            claim.held, boot_id=boot_id, deadline_ms=now_ms + 600_000, now_ms=now_ms
        )
        assert moved.done
    return claim.held


async def boot_id_of(console: Console, worker: Worker, instance: str) -> str:
    """As the host tells it."""
    (key,) = await console.launch("true", instance)
    await execute(worker, key)
    return (await console.run(key)).boot_id
