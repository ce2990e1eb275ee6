"""Many instances, little to read: ids in the order people count in, and equal outputs once."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from cloudassist_tasks.domain.selector import natural_order

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

SHOWN_IDS = 6
"""Longer lists of ids are shortened to the first ones and the last."""


def id_list(ids: Iterable[str], shown: int = SHOWN_IDS) -> str:
    """`i-1, i-2, i-3, …, i-1943`: every id that is printed is whole."""
    ordered = sorted(ids, key=natural_order)
    if len(ordered) <= shown:
        return ", ".join(ordered)
    return ", ".join([*ordered[: shown - 1], "…", ordered[-1]])


def heading(ids: Sequence[str]) -> str:
    """`i-7` or `1,943 instances: i-1, i-2, …`."""
    if len(ids) == 1:
        return ids[0]
    return f"{len(ids):,} instances: {id_list(ids)}"


def grouped(items: Iterable[T], by: Callable[[T], K], name: Callable[[T], str]) -> list[list[T]]:
    """Items that are equal under `by`, together; groups in the order of their first name."""
    groups: dict[K, list[T]] = {}
    for item in sorted(items, key=lambda item: natural_order(name(item))):
        groups.setdefault(by(item), []).append(item)
    return list(groups.values())
