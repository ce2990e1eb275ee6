"""The domain's lists of states, as the scripts read them: comma-separated."""

from cloudassist_tasks.domain.status import OPEN, RunStatus, origins

OPEN_STATUSES = ",".join(sorted(OPEN))
"""The states of a run that is not final."""

ORIGINS = {status: ",".join(sorted(origins(status))) for status in RunStatus}
"""For each state, the states from which it may be reached."""
