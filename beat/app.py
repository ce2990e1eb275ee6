"""The Celery app of a beat: `celery -A beat.app beat`, or `cloudassist beat`."""

import atexit
from typing import Any

from celery import signals

from cloudassist_tasks import config, logs, runtime, wiring
from cloudassist_tasks.tasks.process import Process

settings = config.load()
servers = wiring.find_servers(settings)
app = wiring.celery_app(settings, servers)
app.conf.beat_scheduler = "beat.scheduler:StoreScheduler"
process = Process("beat", lambda: wiring.open_plane(settings, servers, app))


def _set_up_logging(**_: Any) -> None:
    logs.configure(settings.log_level)


def _end() -> None:
    runtime.close()
    servers.release()


signals.setup_logging.connect(_set_up_logging, weak=False)
atexit.register(_end)
