"""ClientToken."""

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.limits import CLASSIC
from cloudassist_tasks.domain.tokens import check_client_token
from tests.unit.domain.refusals import refused


@pytest.mark.parametrize("token", ["a", "A" * 64, "123e4567-e89b-12d3-a456-426655440000"])
def test_ascii_up_to_64_characters_is_a_token(token: str) -> None:
    check_client_token(token, CLASSIC)


@pytest.mark.parametrize("token", ["", "a" * 65, "\u00e4", "a\nb", "\0"])
def test_anything_else_is_malformed(token: str) -> None:
    with refused(Kind.BAD_CLIENT_TOKEN):
        check_client_token(token, CLASSIC)
