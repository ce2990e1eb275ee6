"""An invocation as one object: what `wait` returns, and the JSON that scripts build on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloudassist_tasks.contract.extensions import InvocationState, RunState

RUN_FIELDS = (
    "instance_id",
    "invocation_status",
    "instance_invoke_status",
    "exit_code",
    "output",
    "dropped",
    "error_code",
    "error_info",
    "start_time",
    "finish_time",
)
"""The fields of one instance in the JSON object. The names are fixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """An invocation and all of its runs, as they stood when it was made."""

    state: InvocationState
    instances: Sequence[RunState]
    """In the order of the invocation, with their outputs."""

    @property
    def invoke_id(self) -> str:
        return self.state.invoke_id

    @property
    def status(self) -> str:
        """The fine state of the whole: Success, Failed, PartialFailed, Stopped, or an open one."""
        return self.state.invocation_status

    @property
    def counts(self) -> Mapping[str, int]:
        """How many runs are in each fine state."""
        return self.state.counts

    @property
    def succeeded(self) -> bool:
        """Every run has ended with Success."""
        return self.state.counts.get("Success", 0) == self.state.total

    def __getitem__(self, instance_id: str) -> RunState:
        """The run on one instance."""
        for run in self.instances:
            if run.instance_id == instance_id:
                return run
        raise KeyError(instance_id)

    def to_json(self) -> dict[str, object]:
        """The one JSON object, the same as the command line prints. The names are fixed."""
        return {
            "invoke_id": self.state.invoke_id,
            "invocation_status": self.state.invocation_status,
            "invoke_status": self.state.invoke_status,
            "counts": dict(self.state.counts),
            "batches": self.state.batches,
            "instances": [{name: getattr(run, name) for name in RUN_FIELDS} for run in self.instances],
        }
