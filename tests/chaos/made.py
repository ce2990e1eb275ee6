"""Records and calls as they are after all went well, for tests of the verdict to break."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloudassist_tasks.domain.command import Command, CommandType
from cloudassist_tasks.domain.ids import CommandId, InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.invocation import (
    AGAIN,
    Firing,
    Invocation,
    InvocationSpec,
    Repetition,
    Run,
    Why,
)
from cloudassist_tasks.domain.output import BoundedOutput
from cloudassist_tasks.domain.secret import Secret
from cloudassist_tasks.domain.status import RunStatus
from tests.chaos.ends import Ends
from tests.chaos.evidence import Evidence
from tests.chaos.faults import FaultKind
from tests.chaos.ledger import Asked, Kind, Ledger, Stop
from tests.chaos.records import Records
from tests.chaos.storm import Trouble
from tests.chaos.verdict import Verdict

__all__ = ["CALM", "KEY", "S", "asked", "clean", "invocation", "ran", "trouble"]

KEY = RunKey(InvokeId("t-1"), InstanceId("i-1"))
"""Its id, unless another is given."""
CALM = Ends(troubles=(), supervisors_killed=frozenset(), grace_s=60)
S = RunStatus


def ran(status: RunStatus, code: str = "", exit_code: int | None = None) -> Run:
    """Launched in second 1, ended in second 9."""
    return Run(key=KEY, status=status, error_code=code, exit_code=exit_code, launch_ms=1_000, update_ms=9_000)


def trouble(kind: FaultKind, instance_id: str, from_ms: int, until_ms: int) -> Trouble:
    """Of one instance, or of all on loopback."""
    members = frozenset({instance_id} if instance_id else ())
    return Trouble(kind=kind, instance_ids=members, from_ms=from_ms, until_ms=until_ms)


def asked(*, stopped: bool = False) -> Asked:
    """One short script on i-1; its stop was acknowledged in second 2."""
    stops = [Stop(acknowledged_ms=2_000)] if stopped else []
    return Asked(
        token="c", kind=Kind.RUN, door="HTTP", recipe="short", members=["i-1"], timeout_s=30, stops=stops
    )


def invocation(
    invoke_id: str = "t-1", *, round: int = 0, opened_ms: int = 0, retry_of: str = "", **spec: Any
) -> Invocation:
    """Closed, of one run that succeeded; a round of a schedule if it has a number."""
    command = Command(
        id=CommandId("c-1"), name="c", type=CommandType.SHELL, content=Secret(b"echo ok"), kept=False
    )
    repeats = spec.get("repeat_mode") in AGAIN
    return Invocation(
        spec=InvocationSpec(
            id=InvokeId(invoke_id),
            command=command,
            timeout_s=30,
            retry_of=InvokeId(retry_of) if retry_of else None,
            **spec,
        ),
        round=round,
        firing=Firing(why=Why.BOOT, at_ms=opened_ms, opened_ms=opened_ms, skipped=0) if round else None,
        repetition=Repetition() if repeats and not round else None,
        tally={S.SUCCESS: 1},
        total=1,
        published=1,
        batches=1,
        finish_ms=9_000,
    )


def clean(invoke_id: str = "t-1", **more: Any) -> Verdict:
    """All that there is of one invocation of one run which was asked for over HTTP, and went well."""
    one = asked()
    one.invoke_id, one.token = invoke_id, f"token of {invoke_id}"
    ledger = Ledger()
    ledger.add(one)
    whole = invocation(invoke_id, **more)
    key = RunKey(InvokeId(invoke_id), InstanceId("i-1"))
    success = replace(ran(S.SUCCESS, exit_code=0), key=key)
    records = Records(
        wholes={whole.spec.id: whole},
        rounds={whole.of: whole},
        runs={key: success},
        closes=Counter({whole.of: 1}),
        ends=Counter({key: 1}),
        audited={invoke_id},
    )
    return Verdict(
        ledger=ledger,
        records=records,
        evidence=Evidence(begun=Counter({key.run_id: 1}), ended=Counter({key.run_id: 1})),
        webhooks=Counter(),
        callbacks=Counter(),
        ends=CALM,
        files=Path("/nowhere"),
        outputs={key: BoundedOutput(head=b"ok\n", total=3)},
        grace_s=60,
    )
