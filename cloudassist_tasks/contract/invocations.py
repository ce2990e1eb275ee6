"""Invocations: run a script or a kept command on instances, look at them, stop them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from cloudassist_tasks.contract.operation import R, Result, Tag, TagItem, Wire
from cloudassist_tasks.contract.paging import Listing, PagedResult
from cloudassist_tasks.contract.regional import RegionalOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOperation(RegionalOperation[R]):
    """What every request to run something says. On a kept command, what is None is the command's own."""

    instance_id: Sequence[str] = ()
    """Where to run it; or give `resource_tag`, never both."""
    resource_tag: Sequence[Tag] = ()
    """Run it on the instances that have all of these tags."""
    working_dir: str | None = None
    timeout: int | None = None
    """Seconds; 60 if left out, less than 10 is raised to 10."""
    parameters: Mapping[str, object] | None = field(default=None, repr=False)
    """Values for the script's `{{name}}`, where the command has parameters enabled."""
    username: str | None = None
    """Whom to run it as; default root (System on Windows)."""
    windows_password_name: str | None = None
    launcher: str | None = None
    termination_mode: str | None = None
    """Process or ProcessTree (default): what a stop or the timeout kills."""
    repeat_mode: str | None = None
    frequency: str | None = None
    timed: bool | None = None
    zone: Annotated[str | None, Wire(ours=True)] = None
    """The time zone of a cron expression in `frequency` that names none; `instance`: that of the
    instances; default a setting (UTC)."""
    misfire: Annotated[str | None, Wire(ours=True)] = None
    """Of times that passed while no beat was up: skip (default), or once: one round, late, for all."""
    jitter: Annotated[int | None, Wire(ours=True)] = None
    """Each round begins up to so many seconds after its time, so that many schedules do not begin at once."""
    container_id: str | None = None
    container_name: str | None = None
    oss_output_delivery: str | None = None
    client_token: str | None = None
    """The same token with the same parameters gives the first invocation again; nothing runs twice."""
    resource_group_id: str | None = None
    tag: Sequence[Tag] = ()
    """Tags of the invocation."""
    callback: Annotated[Mapping[str, object] | None, Wire(ours=True)] = field(default=None, repr=False)
    """`{"task": …, "queue": …, "kwargs": {…}}`: a Celery task that is sent the summary at the close."""
    webhook: Annotated[str | None, Wire(ours=True)] = field(default=None, repr=False)
    """A URL to which the summary is posted at the close."""
    max_concurrency: Annotated[str | None, Wire(ours=True)] = None
    """`10` or `10%` of the instances: no more are begun at once. Or a tag, `cloudassist:max-concurrency`."""
    max_errors: Annotated[str | None, Wire(ours=True)] = None
    """`3` or `10%` of the instances may fail; one more, and what has not begun is Cancelled with the code
    MaxErrorsExceeded. Or a tag, `cloudassist:max-errors`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommandResult(Result):
    command_id: str
    invoke_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand(LaunchOperation[RunCommandResult]):
    """Run a script at once. The invocation is readable when this returns; the runs come in the background."""

    type: str
    """RunShellScript, RunBatScript, RunPowerShellScript."""
    command_content: str = field(repr=False)
    content_encoding: str | None = None
    """PlainText (default) or Base64. CreateCommand's default is the other one."""
    name: str | None = None
    description: str | None = None
    enable_parameter: bool | None = None
    keep_command: bool | None = None
    """Keep the command too, to be invoked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeCommandResult(Result):
    invoke_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeCommand(LaunchOperation[InvokeCommandResult]):
    """Run a kept command."""

    command_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInvocationResult(Result):
    """Nothing but the request's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInvocation(RegionalOperation[StopInvocationResult]):
    """Stop an invocation, on all or some of its instances. What has ended stays as it is."""

    invoke_id: str
    instance_id: Sequence[str] = ()
    """Empty: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyInvocationAttributeResult(Result):
    command_id: str
    """Another one where the content has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyInvocationAttribute(RegionalOperation[ModifyInvocationAttributeResult]):
    """Change what repeats, from its next round on. What is None stays as it is."""

    invoke_id: str
    command_content: str | None = field(default=None, repr=False)
    content_encoding: str | None = None
    """PlainText (default) or Base64."""
    enable_parameter: bool | None = None
    """True, to change the values of parameters."""
    parameters: Mapping[str, object] | None = field(default=None, repr=False)
    frequency: str | None = None
    """Of Period only. Rates go on counting from the creation."""
    instance_id: Sequence[str] = ()
    """Instances to add."""
    client_token: str | None = None
    """The same token with the same parameters gives the first answer again, and changes nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How one instance's run stands, in either listing."""

    instance_id: str
    invocation_status: str
    """The fine state, one of 12."""
    repeats: int = 0
    output: str = field(default="", repr=False)
    dropped: int = 0
    """Bytes of the output's middle that were not kept."""
    exit_code: int | None = None
    error_code: str = ""
    error_info: str = ""
    start_time: str = ""
    stop_time: str = ""
    oss_output_uri: str = ""
    oss_output_status: str = ""
    oss_output_error_code: str = ""
    oss_output_error_info: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeInstance(RunOutcome):
    """One instance's part of an invocation."""

    instance_invoke_status: str
    """The classic state."""
    timed: bool = False
    creation_time: str = ""
    finish_time: str = ""
    update_time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationItem:
    invoke_id: str
    creation_time: str
    command_id: str
    command_name: str
    command_description: str
    command_type: str
    command_content: str = field(repr=False)
    parameters: str = field(default="{}", repr=False)
    """A text that holds JSON."""
    repeat_mode: str = "Once"
    frequency: str = ""
    timed: bool = False
    """Whether it will run again by itself."""
    timeout: int = 0
    working_dir: str = ""
    username: str = ""
    launcher: str = ""
    termination_mode: str = ""
    container_id: str = ""
    container_name: str = ""
    oss_output_delivery: str = ""
    invocation_status: str
    """The fine state of the whole."""
    invoke_status: str
    """The classic state of the whole."""
    tags: Annotated[Sequence[TagItem], Wire(item="Tag")] = ()
    invoke_instances: Annotated[Sequence[InvokeInstance], Wire(item="InvokeInstance")] = ()
    """At most 50; DescribeInvocationResults pages through those of a larger invocation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInvocationsResult(PagedResult):
    invocations: Annotated[Sequence[InvocationItem], Wire(item="Invocation")] = ()
    """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInvocations(Listing[DescribeInvocationsResult]):
    """List invocations with their instances. All filters must hold."""

    invoke_id: str | None = None
    command_id: str | None = None
    command_name: str | None = None
    """`*` is a wildcard. Ignored when `instance_id` is given."""
    command_type: str | None = None
    instance_id: str | None = None
    """Invocations that touch this instance, and only its part of each."""
    invoke_status: str | None = None
    """A state of the whole, fine or classic; of the instance when `instance_id` is given."""
    repeat_mode: str | None = None
    timed: bool | None = None
    include_output: bool | None = None
    """Needs `invoke_id` or `instance_id`."""
    content_encoding: str | None = None
    """Of CommandContent and Output in the reply: Base64 (default) or PlainText."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult(RunOutcome):
    """The result of one instance."""

    invoke_id: str
    command_id: str
    invoke_record_status: str
    """The classic state."""
    finished_time: str = ""
    username: str = ""
    launcher: str = ""
    termination_mode: str = ""
    container_id: str = ""
    container_name: str = ""
    oss_output_delivery: str = ""
    tags: Annotated[Sequence[TagItem], Wire(item="Tag")] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResults:
    """A page of results. (Here alone the paging fields stand inside.)"""

    invocation_results: Annotated[Sequence[InvocationResult], Wire(item="InvocationResult")] = ()
    next_token: str = ""
    page_number: int = 0
    page_size: int = 0
    total_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInvocationResultsResult(Result):
    invocation: InvocationResults


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeInvocationResults(Listing[DescribeInvocationResultsResult]):
    """Results with their outputs, one per instance. All filters must hold."""

    invoke_id: str | None = None
    instance_id: str | None = None
    command_id: str | None = None
    invoke_record_status: str | None = None
    """A classic state."""
    include_history: bool | None = None
    """Every round of a schedule; needs the `invoke_id` of one."""
    content_encoding: str | None = None
    """Of Output in the reply: Base64 (default) or PlainText."""
