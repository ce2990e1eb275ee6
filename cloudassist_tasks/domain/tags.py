"""Tags of commands, invocations and instances, and filters over them.

A filter gives keys with values, or keys alone (any value); all of them must hold.
Source: Tag.N.Key and Tag.N.Value, common rules.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.text import check_visible

TagFilter = Mapping[str, str | None]
"""By key: the value wanted, or None for any."""

_RESERVED_PREFIXES = ("aliyun", "acs:")
_LINKS = ("http://", "https://")


def checked_tags(pairs: Iterable[tuple[str, str]], limits: Limits) -> Mapping[str, str]:
    """The tags as a mapping. `Refused` TOO_MANY_TAGS, MISSING_TAG_KEY, BAD_TAG_KEY, BAD_TAG_VALUE,
    DUPLICATE_TAG."""
    given = list(pairs)
    _check_keys([key for key, _ in given], limits.tags_per_call, limits)
    for key, value in given:
        _check_value(key, value, limits)
    return MappingProxyType(dict(given))


def checked_filter(
    pairs: Iterable[tuple[str, str | None]], limits: Limits, *, at_most: int | None = None
) -> TagFilter:
    """A filter over tags, by the same rules. `at_most`: another limit than that of tags per call."""
    given = list(pairs)
    _check_keys([key for key, _ in given], limits.tags_per_call if at_most is None else at_most, limits)
    for key, value in given:
        _check_value(key, value or "", limits)
    return MappingProxyType(dict(given))


def tags_match(wanted: TagFilter, tags: Mapping[str, str]) -> bool:
    """Whether `tags` has all that is wanted."""
    return all(key in tags and value in (None, tags[key]) for key, value in wanted.items())


def tag_pairs(text: str) -> list[tuple[str, str]]:
    """`k=v;k2=v2` as pairs; a key without `=` has an empty value, empty parts are skipped."""
    parts = (part.strip().partition("=") for part in text.split(";") if part.strip())
    return [(key.strip(), value.strip()) for key, _, value in parts]


def _check_keys(keys: Sequence[str], at_most: int, limits: Limits) -> None:
    if len(keys) > at_most:
        raise Refused(Kind.TOO_MANY_TAGS, f"{len(keys)} tags given, the limit is {at_most}")
    for position, key in enumerate(keys, start=1):
        if not key:
            raise Refused(Kind.MISSING_TAG_KEY, f"tag {position} has no key; give one or leave the tag out")
        if len(key) > limits.tag_key_chars or key.startswith(_RESERVED_PREFIXES) or _has_link(key):
            raise Refused(
                Kind.BAD_TAG_KEY,
                f"the key of tag {position} must have at most {limits.tag_key_chars} characters, not begin"
                " with aliyun or acs:, and hold no http:// or https://",
            )
        check_visible(f"the key of tag {position}", key, Kind.BAD_TAG_KEY)
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise Refused(Kind.DUPLICATE_TAG, f"the tag key {key!r} is given twice; keep one of them")
        seen.add(key)


def _check_value(key: str, value: str, limits: Limits) -> None:
    if len(value) > limits.tag_value_chars or _has_link(value):
        raise Refused(
            Kind.BAD_TAG_VALUE,
            f"the value of tag {key!r} must have at most {limits.tag_value_chars} characters"
            " and hold no http:// or https://",
        )
    check_visible(f"the value of tag {key!r}", value, Kind.BAD_TAG_VALUE)


def _has_link(text: str) -> bool:
    return any(link in text for link in _LINKS)
