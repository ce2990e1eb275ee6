"""Asserts how something is refused: with the right kind, in one line that people can read."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cloudassist_tasks.domain.errors import Kind, Refused


@contextmanager
def refused(kind: Kind, naming: str = "") -> Iterator[None]:
    """The block is refused with `kind`; the message is one line and holds `naming`."""
    with pytest.raises(Refused) as caught:
        yield
    assert kind is caught.value.kind, caught.value.message
    assert "\n" not in caught.value.message
    assert naming in caught.value.message
