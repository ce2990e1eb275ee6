"""Files: send one to instances, and look at what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from cloudassist_tasks.contract.operation import Result, Tag, TagItem, Wire
from cloudassist_tasks.contract.paging import Listing, PagedResult
from cloudassist_tasks.contract.regional import RegionalOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFileResult(Result):
    invoke_id: str
    """`f-…`; StopInvocation takes it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFile(RegionalOperation[SendFileResult]):
    """Put a file on instances. It appears there as a whole or not at all, with its owner and mode."""

    name: str
    """Without a directory."""
    content: str = field(repr=False)
    content_type: str | None = None
    """PlainText (default) or Base64."""
    target_dir: str
    """Absolute; made where it is missing."""
    instance_id: Annotated[Sequence[str], Wire(required=True)] = ()
    file_owner: str | None = None
    """Default root; where the login is not root, its user, who may give files to nobody else."""
    file_group: str | None = None
    """Default root; where the login is not root, what a new file has there."""
    file_mode: str | None = None
    """Octal; default 0644."""
    overwrite: bool | None = None
    """Replace a file (or a link) of that name; else such an instance is Invalid, FileAlreadyExists."""
    timeout: int | None = None
    """Seconds; 60 if left out, less than 10 is raised to 10."""
    description: str | None = None
    client_token: str | None = None
    """The same token with the same parameters gives the first invocation again; nothing is sent twice."""
    resource_group_id: str | None = None
    tag: Sequence[Tag] = ()
    """Tags of the invocation."""
    callback: Annotated[Mapping[str, object] | None, Wire(ours=True)] = field(default=None, repr=False)
    """As in RunCommand."""
    webhook: Annotated[str | None, Wire(ours=True)] = field(default=None, repr=False)
    """As in RunCommand."""
    max_concurrency: Annotated[str | None, Wire(ours=True)] = None
    """As in RunCommand."""
    max_errors: Annotated[str | None, Wire(ours=True)] = None
    """As in RunCommand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInstance:
    """One instance's part of a sent file."""

    instance_id: str
    invocation_status: str
    """Pending, Invalid, Running, Aborted, Success, Failed, Error or Timeout."""
    error_code: str = ""
    error_info: str = ""
    creation_time: str = ""
    start_time: str = ""
    finish_time: str = ""
    update_time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileItem:
    invoke_id: str
    name: str
    description: str = ""
    content: str = field(repr=False)
    """As it was sent."""
    content_type: str
    target_dir: str
    file_owner: str = ""
    file_group: str = ""
    file_mode: str = ""
    overwrite: str
    """`true` or `false`, as a text."""
    creation_time: str
    vm_count: int
    """How many instances it goes to."""
    invocation_status: str
    """Pending, Running, Success, Failed or PartialFailed."""
    tags: Annotated[Sequence[TagItem], Wire(item="Tag")] = ()
    invoke_instances: Annotated[Sequence[FileInstance], Wire(item="InvokeInstance")] = ()
    """At most 50."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeSendFileResultsResult(PagedResult):
    invocations: Annotated[Sequence[FileItem], Wire(item="Invocation")] = ()
    """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeSendFileResults(Listing[DescribeSendFileResultsResult]):
    """List sent files with their instances. All filters must hold."""

    invoke_id: str | None = None
    name: str | None = None
    """Of the file; `*` is a wildcard."""
    instance_id: str | None = None
    """Files sent to this instance, and only its part of each."""
    invocation_status: str | None = None
    """Of the whole."""
