"""Answers as XML, for the vendor's older clients that ask for it: the same names as in JSON.

A list stands under its item's name inside the object that wraps it, once per item. What XML cannot carry
(control characters in a script's output) becomes U+FFFD.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["xml_document"]

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNFIT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


def xml_document(root: str, content: Mapping[str, object]) -> bytes:
    """One document with this root element."""
    text = "".join(_element(root, content))
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


def _element(name: str, value: object) -> Iterator[str]:
    tag = _tag(name)
    match value:
        case Mapping():
            yield f"<{tag}>"
            for inner, content in value.items():
                yield from _element(str(inner), content)
            yield f"</{tag}>"
        case str():
            fit = _UNFIT.sub("\ufffd", value).translate(_ESCAPES)
            yield f"<{tag}>{fit}</{tag}>"
        case Sequence():
            for item in value:
                yield from _element(name, item)
        case bool():
            yield f"<{tag}>{'true' if value else 'false'}</{tag}>"
        case None:
            yield f"<{tag}/>"
        case _:
            yield f"<{tag}>{value}</{tag}>"


def _tag(name: str) -> str:
    fit = _UNFIT_IN_A_NAME.sub("_", name)
    return fit if fit[:1].isalpha() or fit[:1] == "_" else f"_{fit}"
