"""How long what one process took to look at is left to it: overdue runs, due messages, hosts to fence."""

from cloudassist_tasks.engine.plane import Plane

LEASES = 3
"""What was handed out to be looked at is handed out again after so many leases of a worker, if nothing came
of it."""


def handed_out_ms(plane: Plane) -> int:
    """From when it was taken until another may take it."""
    return int(1_000 * LEASES * plane.settings.lease_s)
