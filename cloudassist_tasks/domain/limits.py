"""Every limit of the product: one field each, with its default and where the number is from.

The defaults are those of the vendor's classic documents ("classic" below); `LIMITS_2026` has the
vendor's numbers of today. Each field is a setting of the same name. Sizes in bytes are of Base64 text
where the docstring says so; 1 KB is 1,024 bytes.
"""

from dataclasses import dataclass, fields, replace

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.output import HEAD_BYTES, TAIL_BYTES

KB = 1_024
DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a caller may ask for, and how much of it happens at once. `Refused(BAD_SETTING)` for numbers that
    cannot hold together."""

    # -- commands

    content_bytes: int = 16 * KB
    """Content after Base64 and the values' JSON after Base64, together. Classic; 24 KB today."""
    name_chars: int = 128
    """Name of a command. Source: RunCommand, Name."""
    description_chars: int = 512
    """Source: RunCommand, Description."""
    working_dir_chars: int = 200
    """Source: RunCommand, WorkingDir."""
    username_chars: int = 255
    """Run-as user. Source: RunCommand, Username."""
    launcher_bytes: int = KB
    """Source: RunCommand, Launcher."""
    container_name_chars: int = 255
    """Source: RunCommand, ContainerName."""
    timeout_default_s: int = 60
    """Classic: default of Timeout."""
    timeout_min_s: int = 10
    """A smaller Timeout is raised to this. Classic."""
    timeout_max_s: int = DAY_S
    """A larger Timeout is refused. The vendor publishes no number; a day is usual."""
    commands: int = 100
    """Commands kept per region: `max-axt-command-count`. Classic."""

    # -- parameters

    parameter_names: int = 20
    """Names defined in one command, built-in ones counted. Classic."""
    parameter_values: int = 20
    """Values passed in one call. Classic; 10 today."""
    parameter_name_bytes: int = 64
    """A name in the content, and a key passed. Source: RunCommand, Parameters."""

    # -- invocations

    invocations_per_day: int = 5_000
    """Run and invoke calls per region and day: `max-axt-invocation-daily`. Classic."""
    instances_per_call: int = 50
    """Instances of one API call. Classic; 100 today."""
    max_instances: int = 100_000
    """Instances of one invocation that our own client opens; it is batched. Ours."""
    instances_per_stop: int = 50
    """Source: StopInvocation, InstanceId.N."""
    instances_per_install: int = 50
    """Source: InstallCloudAssistant, InstanceId.N."""
    instances_per_status: int = 100
    """Source: DescribeCloudAssistantStatus, InstanceId.N."""
    instances_per_switch: int = 100
    """Source: StartInstances, InstanceId.N."""
    client_token_chars: int = 64
    """Source: ClientToken."""
    client_token_s: int = DAY_S
    """For how long a ClientToken is remembered; the vendor publishes no number."""
    retention_s: int = 28 * DAY_S
    """For how long invocations are kept: 4 weeks."""
    rounds_kept: int = 1_000
    """Rounds of one schedule that are kept, at most. Ours; the vendor keeps 100,000 records in all."""

    # -- files

    file_bytes: int = 32 * KB
    """Content of a file after Base64. Classic."""
    file_name_chars: int = 255
    """Source: SendFile, Name."""
    file_target_dir_chars: int = 255
    """Source: SendFile, TargetDir."""
    file_owner_chars: int = 64
    """Owner and group of a file. Source: SendFile, FileOwner and FileGroup."""
    instances_per_file: int = 50
    """Source: SendFile, InstanceId.N."""
    file_retention_s: int = 42 * DAY_S
    """For how long records of sent files are kept: 6 weeks."""

    # -- instances and tags

    activations: int = 5_000
    """Activation codes per region: `max-cloud-assistant-activation-count`."""

    instance_name_chars: int = 128
    """Source: ModifyManagedInstance, InstanceName."""
    tags_per_call: int = 20
    """Source: Tag.N."""
    resource_tags_per_call: int = 10
    """Tags that select instances in one call. Source: ResourceTag.N."""
    resources_per_call: int = 50
    """Source: TagResources, ResourceId.N."""
    tags_per_resource: int = 20
    """Source: Tag.N."""
    tag_key_chars: int = 64
    """Source: Tag.N.Key."""
    tag_value_chars: int = 128
    """Source: Tag.N.Value."""
    online_s: int = 120
    """An older last contact says nothing of now; named instances are then asked. Source:
    DescribeCloudAssistantStatus."""

    # -- schedules

    period_min_s: int = 10
    """Between two times of a schedule, at least. Classic."""
    rate_min_s: int = 10
    """`rate(…)`, at least. Classic; 60 today."""
    rate_max_s: int = 366 * DAY_S
    """`rate(…)`, at most. Ours; 7 days today."""

    # -- output

    output_head_bytes: int = HEAD_BYTES
    """How much of the beginning of an output is kept."""
    output_tail_bytes: int = TAIL_BYTES
    """How much of its end is kept; 24 KB with the head. Source: DescribeInvocationResults, Output."""

    # -- fan-out

    batch: int = 50
    """Runs published together. Classic: above 50 instances the system batches by itself."""
    window: int = 200
    """Published and unclaimed runs of one invocation, at most. Ours."""
    window_low: int = 150
    """Fewer of them than this, and the next batch is published. Ours."""
    express_instances: int = 5
    """Invocations of at most so many instances use a lane of their own. Ours."""
    instance_runs: int = 10
    """Runs at once on one instance. Source: the vendor's agent."""
    instance_waiting: int = 50
    """Runs that may wait for one instance; more are Aborted. Source: the vendor's agent."""

    # -- time

    delivery_timeout_s: int = 60
    """From the first attempt to connect until Aborted/DeliveryTimeout. Source: status vocabularies."""
    grace_s: int = 60
    """Beyond its timeout, until a run whose host is silent is given up. Ours."""
    max_queue_s: int = DAY_S
    """How long a run may be Pending without a claim, then Aborted. Ours."""
    follow_max_s: int = 600
    """How long a worker stays with a run before it lets go; the run goes on. Ours."""

    def __post_init__(self) -> None:
        for field in fields(self):
            lowest = 0 if field.name in _MAY_BE_ZERO else 1
            value = getattr(self, field.name)
            if value < lowest:
                raise Refused(Kind.BAD_SETTING, f"{field.name} is {value}; it must be at least {lowest}")
        if not self.timeout_min_s <= self.timeout_default_s <= self.timeout_max_s:
            raise Refused(
                Kind.BAD_SETTING,
                f"timeout_default_s is {self.timeout_default_s}; it must lie between timeout_min_s"
                f" ({self.timeout_min_s}) and timeout_max_s ({self.timeout_max_s})",
            )
        if self.window_low + self.batch > self.window + 1:
            raise Refused(
                Kind.BAD_SETTING,
                f"a batch of {self.batch} does not fit into a window of {self.window} refilled below"
                f" {self.window_low}; make window at least window_low + batch - 1",
            )


_MAY_BE_ZERO = frozenset(
    {"output_head_bytes", "grace_s", "instance_waiting", "express_instances", "parameter_values"}
)

CLASSIC = Limits()
"""All defaults."""

LIMITS_2026 = replace(
    CLASSIC,
    content_bytes=24 * KB,
    commands=500,
    parameter_values=10,
    instances_per_call=100,
    rate_min_s=60,
    rate_max_s=7 * DAY_S,
)
"""The vendor's numbers of 2026. Its daily quota is by account and unpublished: ours stays."""
