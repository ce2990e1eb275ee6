"""The endpoint in front of an installation, and clients that go through it or stand beside it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from cloudassist_tasks import runtime
from cloudassist_tasks.client.door import Client
from tests.support.endpoint import Endpoint, served
from tests.support.plane import Installation

__all__ = ["endpoint_of"]


@contextmanager
def endpoint_of(home: Installation, **settings: str) -> Iterator[Endpoint]:
    """`cloudassist serve` of the installation; enter it outside of an event loop."""
    variables = home.environment(**settings)
    try:
        with patch.dict(os.environ, variables), Client() as client, served(variables, client) as endpoint:
            yield endpoint
    finally:
        runtime.close()
