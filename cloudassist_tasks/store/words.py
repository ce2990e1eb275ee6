"""The domain's lists of states, as the scripts read them: comma-separated."""

from cloudassist_tasks.domain.rollup import UNSUCCESSFUL
from cloudassist_tasks.domain.status import FINAL, OPEN, RunStatus, origins

OPEN_STATUSES = ",".join(sorted(OPEN))
"""The states of a run that is not final."""

FINAL_STATUSES = ",".join(sorted(FINAL))
"""The states that a run never leaves."""

FAILURES = ",".join(sorted(UNSUCCESSFUL))
"""The states that count as a failure."""

ORIGINS = {status: ",".join(sorted(origins(status))) for status in RunStatus}
"""For each state, the states from which it may be reached."""
