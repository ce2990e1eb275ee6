"""The results of an invocation for people, and as the one JSON object that scripts build on."""

from collections.abc import Sequence

from cloudassist_tasks.cli.exits import Exit, exit_of
from cloudassist_tasks.cli.grouping import grouped, heading
from cloudassist_tasks.cli.progress import counts_text
from cloudassist_tasks.cli.render import line
from cloudassist_tasks.client.summary import RUN_FIELDS
from cloudassist_tasks.contract.extensions import InvocationState, RunState
from cloudassist_tasks.domain.errors import ErrorCode
from cloudassist_tasks.domain.status import RunStatus

__all__ = ["exit_of_state", "print_results", "result_json", "verdict"]

SHOWN_REASONS = 5


def result_json(run: RunState) -> dict[str, object]:
    """One instance's part, as it stands in the whole."""
    return {name: getattr(run, name) for name in RUN_FIELDS}


def exit_of_state(state: InvocationState) -> Exit:
    """The exit code of a closed invocation."""
    return exit_of({RunStatus(name): number for name, number in state.counts.items()})


def verdict(state: InvocationState, seconds: float) -> str:
    """`t-1 PartialFailed: 60 Success, 60 Failed (12.3 s)`."""
    return f"{state.invoke_id} {state.invocation_status}: {counts_text(state.counts)} ({seconds:.1f} s)"


def print_results(runs: Sequence[RunState]) -> None:
    """Equal outputs once; what did not succeed comes last, with its code and reason."""
    groups = grouped(runs, by=_kind, name=lambda run: run.instance_id)
    for group in sorted(groups, key=lambda group: group[0].invocation_status != RunStatus.SUCCESS):
        first = group[0]
        line(f"{heading([run.instance_id for run in group])}{_fate(first)}")
        for reason in _reasons(group):
            line(f"  {reason}")
        if first.output and " ".join(first.output.split()) != first.error_info:
            line(first.output.removesuffix("\n"))


def _kind(run: RunState) -> tuple[object, ...]:
    return run.invocation_status, run.error_code, run.exit_code, run.dropped, run.output


def _fate(run: RunState) -> str:
    """What a heading says behind the ids: nothing for a plain success without output to come."""
    said = []
    if run.invocation_status != RunStatus.SUCCESS:
        said = [run.invocation_status, run.error_code]
        said += [f"exit code {run.exit_code}"] if run.exit_code is not None else []
    elif not run.output:
        said = ["no output"]
    if run.dropped:
        said.append(f"{run.dropped:,} bytes of the output's middle were not kept")
    return ": " + ", ".join(part for part in said if part) if any(said) else ":"


def _reasons(group: Sequence[RunState]) -> list[str]:
    """Why, in words: once where it is the same for all. An exit code says enough."""
    if group[0].error_code == ErrorCode.EXIT_CODE_NONZERO:
        return []
    reasons = dict.fromkeys(run.error_info for run in group if run.error_info)
    if len(reasons) == 1:
        return [*reasons]
    named = [f"{run.instance_id}: {run.error_info}" for run in group if run.error_info]
    more = len(named) - SHOWN_REASONS
    return named[:SHOWN_REASONS] + ([f"and {more:,} more, see --json"] if more > 0 else [])
