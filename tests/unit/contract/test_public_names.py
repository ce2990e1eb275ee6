"""The package's public list."""

import pytest

import cloudassist_tasks
from cloudassist_tasks.contract.catalogue import OPERATIONS
from cloudassist_tasks.operations import registry


@pytest.mark.parametrize("name", cloudassist_tasks.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(cloudassist_tasks, name).__name__ == name


def test_every_operation_is_public() -> None:
    assert set(OPERATIONS) <= set(cloudassist_tasks.__all__)


def test_every_operation_is_implemented() -> None:
    assert set(OPERATIONS.values()) == registry.implemented()


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = cloudassist_tasks.Nothing
