"""Ids in the order people count in, and equal outputs once."""

from cloudassist_tasks.cli.grouping import grouped, heading, id_list


def test_a_short_list_of_ids_is_whole_and_in_natural_order() -> None:
    assert id_list(["i-10", "i-2", "i-1"]) == "i-1, i-2, i-10"


def test_a_long_list_of_ids_keeps_its_first_ones_and_its_last() -> None:
    ids = [f"i-{number}" for number in range(1, 1944)]

    assert heading(ids) == "1,943 instances: i-1, i-2, i-3, i-4, i-5, …, i-1943"


def test_one_instance_is_named_alone() -> None:
    assert heading(["i-7"]) == "i-7"


def test_equal_items_stand_together_in_the_order_of_their_first_name() -> None:
    outputs = {"i-10": "a", "i-2": "b", "i-1": "a"}

    groups = grouped(outputs, by=outputs.__getitem__, name=str)

    assert groups == [["i-1", "i-10"], ["i-2"]]
