"""The Celery app of a worker: `celery -A workers.app worker -P custom`, or `cloudassist worker`.

Also what Flower and `celery inspect` are pointed at.
"""

from cloudassist_tasks import config, wiring
from cloudassist_tasks.tasks import bodies
from cloudassist_tasks.tasks.process import Process
from workers.drain import Drain
from workers.event_gathering import GatherEvents
from workers.lifecycle import attach

settings = config.load()
servers = wiring.find_servers(settings)
app = wiring.celery_app(settings, servers)
app.conf.worker_consumer = "workers.sharing:SharingConsumer"
app.steps["worker"].add(Drain)
app.steps["consumer"].add(GatherEvents)
process = Process("worker", lambda: wiring.open_plane(settings, servers, app))
bodies.bind(app, process.worker)
attach(process, settings, servers)
