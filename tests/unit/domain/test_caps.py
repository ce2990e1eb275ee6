"""Caps are read as they are written, and mean the same number everywhere."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.caps import NO_CAPS, Caps, Share, checked_caps, checked_share, outcome_of_halt
from cloudassist_tasks.domain.errors import ErrorCode, Kind
from cloudassist_tasks.domain.status import RunStatus
from tests.unit.domain.refusals import refused

totals = st.integers(1, 100_000)


@given(amount=st.integers(1, 999_999_999))
def test_a_number_stands_for_itself(amount: int) -> None:
    share = checked_share("MaxErrors", str(amount), least=0)

    assert share == Share(amount)
    assert share.of(7) == amount


@given(percent=st.integers(1, 100), total=totals)
def test_a_share_is_rounded_up_and_never_none_or_more_than_all(percent: int, total: int) -> None:
    share = checked_share("MaxConcurrency", f"{percent}%", least=1)

    assert share.of(total) == math.ceil(Fraction(percent, 100) * total)
    assert 1 <= share.of(total) <= total


@given(text=st.text(max_size=12).filter(lambda text: re.fullmatch("[0-9]{1,9}%?", text) is None))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    with refused(Kind.BAD_VALUE, "MaxErrors"):
        checked_share("MaxErrors", text, least=0)


@pytest.mark.parametrize(
    "text", ["", "0", "0%", "101%", "-1", "+1", "1.5", "5%%", "%", " 5", "5 ", "٣", "1e3"]
)
def test_what_is_no_cap_on_concurrency_is_refused(text: str) -> None:
    with refused(Kind.BAD_VALUE, "MaxConcurrency"):
        checked_caps(text, None, {})


def test_no_failure_at_all_may_be_allowed() -> None:
    caps = checked_caps(None, "0", {})

    assert caps.errors(20) == 0
    assert checked_caps(None, "0%", {}).errors(20) == 0


def test_a_tag_counts_where_nothing_was_given_by_name() -> None:
    tags = {"cloudassist:max-concurrency": "10%", "cloudassist:max-errors": "2", "other": "x"}

    assert checked_caps(None, None, tags) == Caps(
        max_concurrency=Share(10, percent=True), max_errors=Share(2)
    )
    assert checked_caps("3", None, tags) == Caps(max_concurrency=Share(3), max_errors=Share(2))
    assert checked_caps(None, None, {}) == NO_CAPS


def test_a_bad_tag_is_refused_by_its_key() -> None:
    with refused(Kind.BAD_VALUE, "the tag cloudassist:max-errors 'some'"):
        checked_caps(None, None, {"cloudassist:max-errors": "some"})


def test_what_did_not_begin_is_told_the_numbers() -> None:
    outcome = outcome_of_halt(2)

    assert (outcome.status, outcome.error_code) == (RunStatus.CANCELLED, ErrorCode.MAX_ERRORS_EXCEEDED)
    assert "3 runs" in outcome.error_info
    assert "no more than 2" in outcome.error_info
