"""The domain's lists of states, as the scripts read them: comma-separated."""

from cloudassist_tasks.domain.rollup import UNSUCCESSFUL
from cloudassist_tasks.domain.status import OPEN, RunStatus, origins

OPEN_STATUSES = ",".join(sorted(OPEN))
"""The states of a run that is not final."""

FAILURES = ",".join(sorted(UNSUCCESSFUL))
"""The states that count as a failure."""

ORIGINS = {status: ",".join(sorted(origins(status))) for status in RunStatus}
"""For each state, the states from which it may be reached."""
