"""A plain Celery app that has scripts run and is told when they are done. Imports nothing of CloudAssist.

export SHOP_BROKER=redis://127.0.0.1:6379/1        # the broker of CloudAssist
celery -A shop worker -Q shop                      # gets the callbacks
python shop.py 'apt-get -y upgrade' web-1 web-2    # asks; prints the order's number
python shop.py                                     # what came of all orders
"""

import os
import sqlite3
import sys
import uuid

from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.task_default_queue = "shop"
app.conf.task_ignore_result = True
app.conf.task_routes = {"cloudassist.invoke": {"queue": "cloudassist.invoke"}}


def order(script, instances):
    """Ask for a script to be run. The order's number comes back with the callback."""
    number = uuid.uuid4().hex[:8]
    app.send_task(
        "cloudassist.invoke",
        kwargs={
            "operation": "RunCommand",
            "parameters": {
                "Type": "RunShellScript",
                "CommandContent": script,
                "InstanceId": instances,
                "EnableParameter": True,  # {{ACS::InstanceId}} and the like
                "Timeout": 3600,
            },
            "callback": {"task": "shop.done", "queue": "shop", "kwargs": {"number": number}},
        },
        kwargsrepr="…",  # scripts need not show in Celery's events
    )
    return number


@app.task(name="shop.done", bind=True, acks_late=True)
def done(self, number, summary=None, error=None):
    """Called once per order; twice, with the same task id, if somebody died at the wrong moment."""
    state = summary["InvocationStatus"] if summary else f"refused: {error['Code']}"
    with database() as told:
        first = told.execute("INSERT OR IGNORE INTO told VALUES (?, ?, ?)", (self.request.id, number, state))
        if first.rowcount == 0:
            return  # we know
        # What must happen once per order goes here, in the same transaction.


def database():
    """What we were told: by the id of the callback, which is the same however often it comes."""
    told = sqlite3.connect(os.environ.get("SHOP_DATABASE", "shop.db"), timeout=10)
    told.execute("CREATE TABLE IF NOT EXISTS told (id TEXT PRIMARY KEY, number TEXT, state TEXT)")
    return told


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(order(sys.argv[1], sys.argv[2:]))
    else:
        for _, number, state in database().execute("SELECT * FROM told"):
            print(number, state)
