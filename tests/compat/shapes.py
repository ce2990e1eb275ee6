"""The shape of what is written: which keys with which fields of which kinds, and no value.

Two recordings of one version have the same shape; two versions may differ where the newer one reads both.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tests.compat.dump import Dump

__all__ = ["Shape", "differences", "shape_of_messages", "shape_of_store"]

Shape = dict[str, set[str]]
"""Key (ids by their kind) → what stands in it, a line each."""

_WORDS = (
    (re.compile(r"(?<![0-9a-f])\d{15}(?=\.)"), "<time>"),
    (re.compile(r"(?<![0-9a-f])1[6-9]\d{11}(-\d+)?(?![0-9a-f])"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d(T[\d:]+Z)?"), "<date>"),
    (re.compile(r"\btest-\d+-[0-9a-f]{32}"), "<worker>"),
    (re.compile(r"\b[a-z]-[0-9a-f]{32}"), "<id>"),
    (re.compile(r"\bi-\d+"), "<instance>"),
    (re.compile(r"\bCA[0-9A-Z]{18}\b"), "<key>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}"), "<uuid>"),
    (re.compile(r"[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"\.\d+$"), ".<round>"),
    (re.compile(r":r\d+"), ":r<round>"),
)


def shape_of_store(dump: Dump) -> Shape:
    """Of all keys; those that differ by an id alone are one."""
    shape: Shape = {}
    for key, entry in dump.items():
        lines = shape.setdefault(f"{_worded(key)} ({entry['type']})", set())
        lines.update(_lines(entry["type"], entry["value"]))
        lines.add("expires" if "ttl_s" in entry else "stays")
    return shape


def shape_of_messages(broker: Dump) -> Shape:
    """Of the messages, by queue and task: their id and what they carry. How Celery wraps them is Celery's."""
    shape: Shape = {}
    for queue, entry in broker.items():
        if entry["type"] != "list":
            continue
        for message in entry["value"]:
            args, kwargs, _ = json.loads(message["body"])
            lines = shape.setdefault(f"{queue} {message['headers']['task']}", set())
            lines.update(f"{name}: {_kind(value)}" for name, value in kwargs.items())
            lines |= {f"id {_worded(message['headers']['id'])}", f"args {args}", message["content-type"]}
    return shape


def differences(recorded: Shape, today: Shape) -> list[str]:
    """In sentences; none where both are the same."""
    return list(_differences(recorded, today))


def _differences(recorded: Shape, today: Shape) -> Iterable[str]:
    for key in sorted(recorded.keys() | today.keys()):
        if key not in today:
            yield f"{key} is no longer written"
        elif key not in recorded:
            yield f"{key} is new: {', '.join(sorted(today[key]))}"
        else:
            for line in sorted(recorded[key] - today[key]):
                yield f"{key} no longer has {line}"
            for line in sorted(today[key] - recorded[key]):
                yield f"{key} has a new {line}"


def _lines(type_: str, value: Any) -> Iterable[str]:
    match type_:
        case "hash":
            return [f"{_worded(name)}: {_kind(text)}" for name, text in value.items()]
        case "stream":
            return [f"{name}: {_kind(text)}" for _, fields in value for name, text in fields.items()]
        case "zset":
            return [f"{_worded(member)} at {_kind(score)}" for member, score in value]
        case "set" | "list":
            return [_worded(member) for member in value]
        case _:
            return [_kind(value)]


def _kind(value: Any) -> str:
    match value:
        case None | bool():
            return json.dumps(value)
        case int() | float():
            return "a number"
        case Mapping():
            return "{" + ", ".join(f"{_worded(name)}: {_kind(one)}" for name, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(dict.fromkeys(_kind(one) for one in value)) + "]"
        case str():
            return _kind_of_text(value)
    raise AssertionError(f"{value!r} is nothing that is written")


def _kind_of_text(text: str) -> str:
    if re.fullmatch(r"[0-9a-f]{12}", text):  # a nonce: it may happen to be of digits alone; times have 13
        return "text"
    first, _, rest = text.partition("\n")
    if first[:1] in "{[" and (document := _document(first)) is not None:
        return f"{_kind(document)}{' and a text' if rest else ''}"
    return "a number" if re.fullmatch(r"-?\d+", text) else "text"


def _document(text: str) -> Any:
    """A JSON document, with the names of the machine put back where they break it."""
    try:
        return json.loads(text.replace("@PORT@", '"port":22,'))
    except ValueError:
        return None


def _worded(text: str) -> str:
    for pattern, word in _WORDS:
        text = pattern.sub(word, text)
    return text
