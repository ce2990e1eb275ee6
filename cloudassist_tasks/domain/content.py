"""The content of a script on its way in: decoding, and the one size limit."""

import base64
import binascii
import json
from collections.abc import Mapping

from cloudassist_tasks.domain.errors import Kind, Refused
from cloudassist_tasks.domain.limits import Limits
from cloudassist_tasks.domain.parameters import NO_VALUES, definitions, substitute_custom


def decoded_content(text: str, *, is_base64: bool) -> bytes:
    """The script itself. Base64 may be broken into lines. `Refused(CONTENT_UNDECODABLE)`."""
    try:
        if is_base64:
            return base64.b64decode("".join(text.split()), validate=True)
        return text.encode()
    except (binascii.Error, ValueError):
        what = "Base64" if is_base64 else "UTF-8"
        raise Refused(
            Kind.CONTENT_UNDECODABLE, f"CommandContent is not valid {what}; check it and ContentEncoding"
        ) from None


def content_size(content: bytes, values: Mapping[str, str] = NO_VALUES) -> int:
    """What counts against the limit: the lengths after Base64 of the content and of the values' JSON."""
    return _base64_length(len(content)) + (_base64_length(len(_values_json(values))) if values else 0)


def check_size(
    content: bytes, limits: Limits, *, values: Mapping[str, str] = NO_VALUES, substituted: bool = False
) -> None:
    """`Refused(CONTENT_TOO_LONG)` for content and values above the limit, or (with `substituted`) a script
    that grows above it once the values stand in it."""
    size = content_size(content, values)
    if substituted:
        size = max(size, _base64_length(len(substitute_custom(content, values))))
    if size > limits.content_bytes:
        what = "the content with its parameters" if values else "the content"
        raise Refused(
            Kind.CONTENT_TOO_LONG,
            f"{what} has {size} bytes after Base64, the limit is {limits.content_bytes};"
            " shorten it, or have the script fetch what it needs",
        )


def parameter_names(content: bytes, limits: Limits, *, enabled: bool) -> tuple[str, ...]:
    """The names that a command defines; none when its parameters are not enabled."""
    return definitions(content, limits) if enabled else ()


def _base64_length(length: int) -> int:
    return (length + 2) // 3 * 4


def _values_json(values: Mapping[str, str]) -> bytes:
    return json.dumps(dict(values), ensure_ascii=False, separators=(",", ":")).encode()
