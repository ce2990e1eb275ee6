"""What stands in our messages: a version and ids, nothing else.

No script, parameter or secret is ever in one, so Flower, events and the broker hold none.
"""

from collections.abc import Mapping
from typing import TypedDict

from cloudassist_tasks.domain.ids import INSTANCE_ID, InstanceId, InvokeId, RunKey
from cloudassist_tasks.domain.power import PowerKey

VERSION = 1


class RunMessage(TypedDict):
    v: int
    invoke_id: str
    instance_id: str
    round: int


class InstanceMessage(TypedDict):
    v: int
    instance_id: str


class PowerMessage(InstanceMessage):
    power_id: str


def run_message(key: RunKey) -> RunMessage:
    return {"v": VERSION, "invoke_id": key.invoke_id, "instance_id": key.instance_id, "round": key.round}


def instance_message(instance_id: InstanceId) -> InstanceMessage:
    return {"v": VERSION, "instance_id": instance_id}


def power_message(key: PowerKey) -> PowerMessage:
    return {"v": VERSION, "instance_id": key.instance_id, "power_id": key.power_id}


def power_key(message: Mapping[str, object]) -> PowerKey:
    """The action that a message names; ValueError as below."""
    power_id = message.get("power_id")
    if not isinstance(power_id, str) or not power_id:
        raise ValueError("the message names no action")
    return PowerKey(instance_id=instance_id(message), power_id=power_id)


def run_key(message: Mapping[str, object]) -> RunKey:
    """The run that a message names. ValueError for what is none of ours, or newer than we are."""
    _check_version(message)
    invoke_id, round_ = message.get("invoke_id"), message.get("round", 0)
    if not isinstance(invoke_id, str) or not invoke_id or not isinstance(round_, int):
        raise ValueError("the message names no run")
    return RunKey(InvokeId(invoke_id), instance_id(message), round_)


def instance_id(message: Mapping[str, object]) -> InstanceId:
    """The instance that a message names; ValueError as above."""
    _check_version(message)
    named = message.get("instance_id")
    if not isinstance(named, str) or not INSTANCE_ID.fullmatch(named):
        raise ValueError("the message names no instance")
    return InstanceId(named)


def _check_version(message: Mapping[str, object]) -> None:
    if message.get("v") != VERSION:
        raise ValueError(f"the message has version {message.get('v')!r}, this worker knows {VERSION}")
