"""What a host's "it never started" is worth, by what the store knows of the run (R4)."""

import pytest

from cloudassist_tasks.domain.ids import InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import Run
from cloudassist_tasks.domain.outcome import HostWord, outcome_of
from cloudassist_tasks.domain.status import Phase, RunStatus
from cloudassist_tasks.engine.complete import believed
from cloudassist_tasks.ports.transport import HostResult

KEY = RunKey(InvokeId("t-1"), InstanceId("i-1"))
NEVER = HostResult(word=HostWord.CANCELED, code="NotStarted")
CLAIMED = Run(key=KEY, phase=Phase.CLAIMED)
SENT = Run(key=KEY, phase=Phase.LAUNCHING, boot_id="b-1")
SEEN = Run(key=KEY, phase=Phase.LAUNCHING, boot_id="b-1", status=RunStatus.RUNNING, start_ms=1)


@pytest.mark.parametrize(
    ("run", "boot_id", "status"),
    [
        pytest.param(CLAIMED, "b-1", RunStatus.CANCELLED, id="nothing was sent"),
        pytest.param(SENT, "b-1", RunStatus.CANCELLED, id="the script never arrived"),
        pytest.param(SENT, "b-2", RunStatus.ERROR, id="the power took the record with it"),
        pytest.param(SEEN, "b-1", RunStatus.ERROR, id="the record of what was seen running is gone"),
    ],
)
def test_a_stopped_run_is_cancelled_only_if_it_cannot_have_run(
    run: Run, boot_id: str, status: RunStatus
) -> None:
    result = believed(NEVER, run, boot_id)

    assert outcome_of(result.word, code=result.code, stop_requested=True).status is status


def test_an_end_that_was_seen_is_believed_in_every_boot() -> None:
    ended = HostResult(word=HostWord.EXITED, exit_code=0)

    assert believed(ended, SENT, "b-2") == ended
