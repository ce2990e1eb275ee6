"""Values of requests and replies: times, encodings, tags, wildcards."""

import base64
from collections.abc import Mapping, Sequence

from cloudassist_tasks.contract.operation import Tag, TagItem
from cloudassist_tasks.contract.times import time_text as time_text
from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.output import BoundedOutput, decode_output
from cloudassist_tasks.domain.tags import TagFilter, checked_filter, checked_tags

_KINDS_OF_RESOURCE_TAGS: Mapping[Kind, Kind] = {
    Kind.TOO_MANY_TAGS: Kind.TOO_MANY_RESOURCE_TAGS,
    Kind.DUPLICATE_TAG: Kind.DUPLICATE_RESOURCE_TAG,
    Kind.MISSING_TAG_KEY: Kind.MISSING_RESOURCE_TAG_KEY,
    Kind.BAD_TAG_KEY: Kind.BAD_RESOURCE_TAG_KEY,
    Kind.BAD_TAG_VALUE: Kind.BAD_RESOURCE_TAG_VALUE,
}


def wants_base64(encoding: str | None, *, default: bool) -> bool:
    """What ContentEncoding says; any other word, and none, is the operation's default."""
    match (encoding or "").lower():
        case "base64":
            return True
        case "plaintext":
            return False
        case _:
            return default


def content_text(content: bytes, *, as_base64: bool) -> str:
    """A script in a reply; what is not UTF-8 is replaced where it cannot travel."""
    return base64.b64encode(content).decode() if as_base64 else decode_output(content)


def output_text(output: BoundedOutput, *, as_base64: bool) -> str:
    """An output in a reply, head and tail."""
    return base64.b64encode(output.kept()).decode() if as_base64 else output.text()


def tags_of(given: Sequence[Tag], limits: Limits) -> Mapping[str, str]:
    """Tags to attach. `Refused`, see `checked_tags`."""
    return checked_tags(((tag.key, tag.value) for tag in given), limits)


def filter_of(given: Sequence[Tag], limits: Limits) -> TagFilter:
    """Tags to look for; one without a value stands for any value."""
    return checked_filter(((tag.key, tag.value or None) for tag in given), limits)


def resource_filter_of(given: Sequence[Tag], limits: Limits) -> TagFilter:
    """Tags that select instances. `Refused` with the kinds that belong to them."""
    pairs = ((tag.key, tag.value or None) for tag in given)
    try:
        return checked_filter(pairs, limits, at_most=limits.resource_tags_per_call)
    except Refused as refusal:
        kind = _KINDS_OF_RESOURCE_TAGS.get(refusal.kind, refusal.kind)
        raise Refused(kind, f"ResourceTag: {refusal.message}") from None


def tag_items(tags: Mapping[str, str]) -> Sequence[TagItem]:
    """The tags of a reply."""
    return tuple(TagItem(tag_key=key, tag_value=value) for key, value in tags.items())
