"""Nothing that the vendor documents is forgotten: each row is tested or says why not; the page is current."""

import pytest

from tests.parity.accepted import ACCEPTED
from tests.parity.conformance import (
    PAGE,
    documented,
    given_parameters,
    is_tested,
    page,
    parameters_of,
    vendors,
)
from tests.parity.faults import FAULTS
from tests.parity.test_names import PARTIAL
from tests.parity.unmet_faults import reason


@pytest.mark.parametrize("action", vendors())
def test_each_documented_error_is_tested_or_has_a_reason(action: str) -> None:
    rows = documented(action)

    neither = [row for row in rows if not is_tested(action, *row) and not reason(action, *row)]
    both = [row for row in rows if is_tested(action, *row) and reason(action, *row)]

    assert neither == []
    assert both == []


@pytest.mark.parametrize("action", vendors())
def test_each_parameter_is_given_in_a_request_that_is_carried_out(action: str) -> None:
    missing = set(parameters_of(action)) - given_parameters(action)

    assert action in ACCEPTED
    assert missing == set() or action in PARTIAL


def test_each_fault_that_is_marked_as_ours_is_unknown_to_the_vendor() -> None:
    marked = [one.name for one in FAULTS if one.ours and (one.code, one.status) in documented(one.action)]

    assert marked == []


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.parity.conformance`"
