"""Names with `*`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.wildcard import matches


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("web", "web", True),
        ("web", "web-1", False),
        ("web*", "web-1", True),
        ("*-1", "web-1", True),
        ("*eb*", "web-1", True),
        ("Web*", "web-1", False),
        ("*", "", True),
        ("a*a", "a", False),
        ("w?b", "web", False),
        ("w.b", "web", False),
        ("a*b*c", "a-c-b", False),
    ],
)
def test_a_pattern_fits_the_whole_name(pattern: str, name: str, fits: bool) -> None:
    assert fits is matches(pattern, name)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_it_means_what_the_regular_expression_means(pattern: str, name: str) -> None:
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))

    assert bool(re.fullmatch(expression, name)) is matches(pattern, name)
