"""The container that a run is meant for: how it may be named. Only its instance knows whether it exists."""

import re

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import CLASSIC, Limits

_ID = re.compile(r"(?:(?:docker|containerd|cri-o)://)?[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check_container(container_id: str, container_name: str, limits: Limits = CLASSIC) -> None:
    """Empty ones name no container. `Refused` BAD_CONTAINER_ID, BAD_CONTAINER_NAME."""
    if container_id and not _ID.fullmatch(container_id):
        raise Refused(
            Kind.BAD_CONTAINER_ID,
            "ContainerId must be 64 hexadecimal digits, with docker://, containerd:// or cri-o:// before"
            " them if you like; see docker ps --no-trunc",
        )
    if container_name and (
        len(container_name) > limits.container_name_chars or not _NAME.fullmatch(container_name)
    ):
        raise Refused(
            Kind.BAD_CONTAINER_NAME,
            f"ContainerName must begin with a letter or digit, then letters, digits, _ . -, at most"
            f" {limits.container_name_chars}",
        )
