"""What another program is told at the close of an invocation, by a callback or a webhook."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationSummary:
    """An invocation that has closed. Of the same size for any number of instances; outputs are asked for."""

    delivery_id: str
    """The same however often it is told: drop what you have seen."""
    invoke_id: str
    round: int = 0
    """Of a schedule: which of its rounds has closed; else 0."""
    command_id: str
    invocation_status: str
    """The fine state of the whole: Success, Failed, PartialFailed, Stopped."""
    invoke_status: str
    """The classic state of the whole: Finished, Failed, PartialFailed, Stopped."""
    counts: Mapping[str, int]
    """How many runs ended in each fine state; states without a run are absent."""
    total: int
    tags: Mapping[str, str]
    creation_time: str
    stop_time: str = ""
    """When a stop was asked for; empty: never."""
    finish_time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a request that came as a message was not carried out; a callback gets it as `error`."""

    code: str
    message: str
    request_id: str = ""
