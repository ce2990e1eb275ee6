"""What tasks and queues are called on the broker. Part of the wire: changing one breaks a rolling upgrade."""

RUN = "cloudassist.run"
"""Carry one run."""
COLLECT = "cloudassist.collect"
"""Look at the runs that were let go on one instance."""
PREPARE = "cloudassist.prepare"
"""Install the helper on one instance."""
POWER = "cloudassist.power"
"""Run one power command of one instance."""

INVOKE = "cloudassist.invoke"
"""Carry out an operation that another app asks for; also the queue where workers wait for such messages."""

DEFAULT_REGION = "default"


def run_queue(region: str) -> str:
    """Where runs of a region's instances wait."""
    return f"{RUN}.{region}"


def express_queue(region: str) -> str:
    """The lane of small invocations and of whatever must not wait behind large ones."""
    return f"cloudassist.express.{region}"


def queues(region: str) -> tuple[str, str]:
    """All that a worker of the region serves; the express lane first."""
    return express_queue(region), run_queue(region)
