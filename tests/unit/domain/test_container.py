"""Names of containers."""

import pytest

from cloudassist_tasks.domain.container import check_container
from cloudassist_tasks.domain.errors import Kind
from tests.unit.domain.refusals import refused

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("container_id", "name"),
    [("", ""), (ID, ""), (f"docker://{ID}", "web"), (f"containerd://{ID}", ""), ("", "a" * 255)],
)
def test_a_well_formed_name_passes(container_id: str, name: str) -> None:
    check_container(container_id, name)


@pytest.mark.parametrize("container_id", ["web", ID[:-1], ID + "0", ID.upper(), f"podman://{ID}"])
def test_a_malformed_id_is_refused(container_id: str) -> None:
    with refused(Kind.BAD_CONTAINER_ID):
        check_container(container_id, "")


@pytest.mark.parametrize("name", ["-web", "a b", "a" * 256, "a/b"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with refused(Kind.BAD_CONTAINER_NAME):
        check_container("", name)
