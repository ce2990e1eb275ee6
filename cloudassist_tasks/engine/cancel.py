"""Stop a run on its host for good, and bring what it has printed that nobody has seen yet.

The host answers a cancel with how the run ended, not with its output: a run that was followed all along has
brought that itself, one that was let go has not.
"""

import logging
from dataclasses import replace

from cloudassist_tasks.domain.errors import RunFailed
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.transport import Host, Report


async def cancel(host: Host, run_id: str, *, user: str, seen: int) -> Report:
    """As `Host.cancel`; the report has the output from the offset `seen` on. Whoever cannot get that any more
    gets the end all the same."""
    report = await host.cancel(run_id, user=user)
    if report.result is None or report.result.total_bytes <= seen:
        return report
    try:
        rest = (await host.collect({run_id: seen}, user=user))[run_id]
    except RunFailed as fault:
        log("output_lost", logging.WARNING, run=run_id, from_byte=seen, info=fault.info)
        return report
    return replace(report, output=rest.output)
