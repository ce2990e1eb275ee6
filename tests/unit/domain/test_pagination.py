"""Pages and their tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.pagination import (
    DESCRIBE_INSTANCES,
    NumberedPage,
    TokenPage,
    checked_page,
    position_of,
    token_for,
)
from tests.unit.domain.refusals import refused


def test_nothing_given_is_page_one_of_ten() -> None:
    assert NumberedPage(number=1, size=10) == checked_page()


def test_a_numbered_page_skips_what_comes_before_it() -> None:
    page = checked_page(page_number=3, page_size=50)

    assert NumberedPage(number=3, size=50) == page
    assert isinstance(page, NumberedPage)
    assert page.skip == 100


def test_max_results_or_a_token_decide_for_tokens() -> None:
    token = token_for("17:t-1")

    assert TokenPage(size=50) == checked_page(max_results=50, page_number=0, page_size=999)
    assert TokenPage(size=10, position="17:t-1") == checked_page(next_token=token, page_number=4)
    assert TokenPage(size=5, position="17:t-1") == checked_page(next_token=token, max_results=5)


def test_an_empty_token_was_not_given() -> None:
    assert NumberedPage(number=1, size=10) == checked_page(next_token="")


@pytest.mark.parametrize(
    ("given_fields", "kind"),
    [
        ({"max_results": 0}, Kind.BAD_MAX_RESULTS),
        ({"max_results": 51}, Kind.BAD_MAX_RESULTS),
        ({"page_number": 0}, Kind.BAD_PAGE_NUMBER),
        ({"page_size": 0}, Kind.BAD_PAGE_SIZE),
        ({"page_size": 51}, Kind.BAD_PAGE_SIZE),
    ],
)
def test_a_page_that_does_not_exist_is_refused(given_fields: dict[str, int], kind: Kind) -> None:
    with refused(kind):
        checked_page(**given_fields)  # type: ignore[arg-type]  # every one of them is a number


def test_describe_instances_moves_sizes_to_its_bounds() -> None:
    assert TokenPage(size=10) == checked_page(max_results=1, rules=DESCRIBE_INSTANCES)
    assert TokenPage(size=100) == checked_page(max_results=500, rules=DESCRIBE_INSTANCES)
    assert NumberedPage(number=1, size=1) == checked_page(page_size=1, rules=DESCRIBE_INSTANCES)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=50))
def test_a_token_leads_back_to_its_position(position: str) -> None:
    assert position == position_of(token_for(position))


def test_there_is_no_token_behind_the_last_item() -> None:
    assert token_for("") == ""


@pytest.mark.parametrize("text", ["x", "AAAA", "AAAAAA", "not a token", "\u00e4", "A" * 2_000, "____/w"])
def test_a_token_that_was_not_given_is_refused(text: str) -> None:
    with refused(Kind.BAD_NEXT_TOKEN):
        checked_page(next_token=text)


@given(st.text(max_size=40))
def test_no_text_at_all_breaks_the_reader(text: str) -> None:
    with refused(Kind.BAD_NEXT_TOKEN):
        position_of(text)


@given(st.binary(min_size=1, max_size=20), st.integers(0, 200))
def test_a_changed_token_is_refused(position: bytes, at: int) -> None:
    token = token_for(position.hex())
    changed = token[: at % len(token)] + ("A" if token[at % len(token)] != "A" else "B")
    changed += token[at % len(token) + 1 :]

    with refused(Kind.BAD_NEXT_TOKEN):
        position_of(changed)
