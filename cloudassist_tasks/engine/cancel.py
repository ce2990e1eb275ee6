"""Stop a run on its host for good, and bring what it has printed that nobody has seen yet.

The host answers a cancel with how the run ended, not with its output: a run that was followed all along has
brought that itself, one that was let go has not.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from cloudassist_tasks.awake import Awake
from cloudassist_tasks.domain.errors import LostContact, RunFailed, Unreachable
from cloudassist_tasks.logs import log
from cloudassist_tasks.ports.transport import Host, Output, Report

REST_WITHIN_S, AGAIN_S = 8.0, 1.0
"""For the output of a run whose end is known: a connection that was reset or dropped is made anew. The end
waits for it, so not for long: less than overdue.py's FENCE_WITHIN_S."""


async def cancel(
    awake: Awake,
    host: Host,
    run_id: str,
    *,
    user: str,
    seen: int,
    hear: Callable[[Report], object] = lambda _: None,
) -> Report:
    """As `Host.cancel`; the report has the output from the offset `seen` on. Whoever cannot get that any more
    gets the end all the same. `hear` is called with the host's word before the output is asked for."""
    report = await host.cancel(run_id, user=user)
    hear(report)
    if report.result is None or report.result.total_bytes <= seen:
        return report
    return replace(report, output=await rest_of_output(awake, host, run_id, user=user, seen=seen))


async def rest_of_output(awake: Awake, host: Host, run_id: str, *, user: str, seen: int) -> Sequence[Output]:
    """Of a run that has ended, from the offset `seen` on; nothing, if it cannot be had in time."""
    try:
        return await awake.within(REST_WITHIN_S, lambda: _rest(host, run_id, user=user, seen=seen))
    except (RunFailed, TimeoutError) as fault:
        why = str(fault) or f"no answer within {REST_WITHIN_S:g} s"
        log("output_lost", logging.WARNING, run=run_id, from_byte=seen, info=why)
        return ()


async def _rest(host: Host, run_id: str, *, user: str, seen: int) -> Sequence[Output]:
    """Asked for until the host answers: at once over a new connection, then again and again."""
    pause_s = 0.0
    while True:
        try:
            return (await host.collect({run_id: seen}, user=user))[run_id].output
        except (LostContact, Unreachable) as fault:
            if not fault.retry_helps:
                raise
        await asyncio.sleep(pause_s)
        pause_s = AGAIN_S
