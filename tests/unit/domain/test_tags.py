"""Tags and filters over them."""

import pytest

from cloudassist_tasks.domain.errors import Kind
from cloudassist_tasks.domain.limits import CLASSIC
from cloudassist_tasks.domain.tags import checked_filter, checked_tags, tag_pairs, tags_match
from tests.unit.domain.refusals import refused


def test_tags_keep_their_order_and_may_have_empty_values() -> None:
    assert list(checked_tags([("b", ""), ("a", "1")], CLASSIC).items()) == [("b", ""), ("a", "1")]


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ([(f"k{n}", "") for n in range(21)], Kind.TOO_MANY_TAGS),
        ([("", "v")], Kind.MISSING_TAG_KEY),
        ([("k" * 65, "v")], Kind.BAD_TAG_KEY),
        ([("aliyun-x", "v")], Kind.BAD_TAG_KEY),
        ([("acs:x", "v")], Kind.BAD_TAG_KEY),
        ([("see http://x", "v")], Kind.BAD_TAG_KEY),
        ([("a\nb", "v")], Kind.BAD_TAG_KEY),
        ([("k", "v" * 129)], Kind.BAD_TAG_VALUE),
        ([("k", "https://x")], Kind.BAD_TAG_VALUE),
        ([("k", "a\0b")], Kind.BAD_TAG_VALUE),
        ([("k", "1"), ("k", "2")], Kind.DUPLICATE_TAG),
    ],
)
def test_each_fault_is_refused_with_its_kind(pairs: list[tuple[str, str]], kind: Kind) -> None:
    with refused(kind):
        checked_tags(pairs, CLASSIC)
    with refused(kind):
        checked_filter(pairs, CLASSIC)


def test_the_limits_themselves_are_allowed() -> None:
    pairs = [(f"{n:064}", "v" * 128) for n in range(20)]

    assert dict(pairs) == checked_tags(pairs, CLASSIC)


def test_tags_that_select_instances_have_their_own_limit() -> None:
    pairs = [(f"k{n}", None) for n in range(11)]

    with refused(Kind.TOO_MANY_TAGS, naming="limit is 10"):
        checked_filter(pairs, CLASSIC, at_most=CLASSIC.resource_tags_per_call)


def test_a_filter_matches_when_all_of_it_holds() -> None:
    tags = {"env": "prod", "role": ""}

    assert tags_match(checked_filter([("env", "prod"), ("role", None)], CLASSIC), tags)
    assert tags_match({"role": ""}, tags)
    assert tags_match({}, tags)
    assert not tags_match({"env": "test"}, tags)
    assert not tags_match({"env": "prod", "other": None}, tags)


def test_tags_can_be_written_in_one_cell() -> None:
    assert tag_pairs(" k=v; k2 = a=b ;; alone ") == [("k", "v"), ("k2", "a=b"), ("alone", "")]
    assert tag_pairs("") == []
