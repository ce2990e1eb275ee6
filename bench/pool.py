"""What the worker pool itself takes: a message that does nothing, and thousands of tasks that wait.

No SSH, no store: a worker with two tasks, over a private Valkey. The difference to a fan-out is the product.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from celery import Celery

from bench import usage
from tests.support.celery_worker import CeleryWorker, celery_worker
from tests.support.eventually import eventually
from tests.support.valkey import private_valkey

__all__ = ["measure"]

WARM_UP = 200
BATCH = 500
IDLE_S = 5.0
HOLD_S = 3_600.0


def measure(*, quick: bool = False) -> dict[str, object]:
    """CPU per message with and without events; memory and CPU of held tasks."""
    messages, held = (1_000, 500) if quick else (5_000, 3_000)
    kinds = {
        "no-op": _messages(messages, events=False),
        "no-op, with events": _messages(messages, events=True),
        "held": _held(held),
    }
    return {"kinds": kinds}


def _messages(number: int, *, events: bool) -> dict[str, float]:
    with _line(concurrency=100, events=events) as (app, worker, drained):
        cpu_before_s, own_before_s, begin = usage.cpu_s(worker.pid), time.process_time(), time.perf_counter()
        _publish(app, number, "bench.nothing")
        published_s, own_s = time.perf_counter() - begin, time.process_time() - own_before_s
        eventually(drained, within=120, every=0.05)
        return {
            "n": number,
            "publish_cpu_ms": 1_000 * own_s / number,
            "publish_per_s": number / published_s,
            "cpu_ms": 1_000 * (usage.cpu_s(worker.pid) - cpu_before_s) / number,
            "per_s": number / (time.perf_counter() - begin),
        }


def _held(number: int) -> dict[str, float]:
    with _line(concurrency=number, events=False) as (app, worker, drained):
        empty_mib = usage.rss_mib(worker.pid)
        _publish(app, number, "bench.hold", HOLD_S)
        eventually(drained, within=120, every=0.05)
        cpu_before_s, begin = usage.cpu_s(worker.pid), time.perf_counter()
        time.sleep(IDLE_S)
        idle_s = time.perf_counter() - begin
        return {
            "n": number,
            "rss_mib": usage.rss_mib(worker.pid),
            "kib_per_task": 1_024 * (usage.rss_mib(worker.pid) - empty_mib) / number,
            "threads": usage.threads(worker.pid),
            "idle_cpu_percent": 100 * (usage.cpu_s(worker.pid) - cpu_before_s) / idle_s,
        }


def _publish(app: Celery, number: int, task: str, *arguments: float) -> None:
    with app.producer_pool.acquire() as producer, producer.batch(BATCH):
        for _ in range(number):
            app.send_task(task, args=arguments, producer=producer)


@contextmanager
def _line(*, concurrency: int, events: bool) -> Iterator[tuple[Celery, CeleryWorker, Callable[[], bool]]]:
    """A client's app, a warmed-up worker, and whether it has taken every message: each is acknowledged when
    its task begins."""
    # what is redirected is the worker's log, a line per task
    with private_valkey(on_disk=True) as valkey, redirect_stdout(StringIO()):
        environment = {"BENCH_BROKER_URL": valkey.broker_url(), "BENCH_EVENTS": str(int(events))}
        with celery_worker(
            "bench.pool_app",
            concurrency=concurrency,
            environment=environment,
            options=["-E"] if events else [],
        ) as worker:
            broker = valkey.client()

            def drained() -> bool:
                return not broker.llen("celery") and not broker.hlen("unacked")

            app = Celery("bench", broker=valkey.broker_url())
            _publish(app, WARM_UP, "bench.nothing")
            eventually(drained, within=30)
            yield app, worker, drained
            app.close()
