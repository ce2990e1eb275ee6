"""`{{name}}` in a script: what a command defines, what a call may pass, and putting the values in.

A script is bytes and need not be UTF-8. Blanks and line breaks inside the braces mean nothing, names are
the same in upper and lower case. `{{ACS::…}}` names are built in and get their value for each run.
Values are put in textually, without quoting, in one pass: what a value holds is never looked at again.
Only commands made with parameters enabled come here. Source: EnableParameter, Parameters and built-in
parameters of the vendor's API.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from cloudassist_tasks.domain.errors import ErrorCode, Kind, Refused, RunFailed
from cloudassist_tasks.domain.limits import CLASSIC, Limits
from cloudassist_tasks.domain.status import RunStatus

Values = Mapping[str, str]
"""Custom parameters, by name as the caller wrote it."""

NO_VALUES: Values = MappingProxyType({})

BUILT_IN_NAMES = ("RegionId", "AccountId", "InstanceId", "InstanceName", "InvokeId", "CommandId")
"""What may stand behind `ACS::`, exactly so."""

_PLACEHOLDER = re.compile(rb"\{\{([^{}]*)\}\}")
_NAME = re.compile(rb"[A-Za-z0-9_-]+")
_BLANKS = b" \t\r\n\v\f"
_BUILT_IN = b"ACS::"
_PARAMETER_STORE = (b"oos:", b"oos-secret:")


# -- what a command defines


def definitions(content: bytes, limits: Limits = CLASSIC) -> tuple[str, ...]:
    """The custom names, each once, as first written and in that order.

    `Refused` PARAMETER_EMPTY_NAME, PARAMETER_BAD_NAME, PARAMETER_NAME_TOO_LONG, PARAMETER_TOO_MANY_DEFINED
    (built-in names count too), PARAMETER_STORE (the vendor's, which is not here)."""
    custom: dict[bytes, bytes] = {}
    built_in: set[bytes] = set()
    for line, name in _named(content):
        if name.startswith(_BUILT_IN):
            built_in.add(name)
        else:
            _check_name(line, name, limits)
            custom.setdefault(name.lower(), name)
    count = len(custom) + len(built_in)
    if count > limits.parameter_names:
        raise Refused(
            Kind.PARAMETER_TOO_MANY_DEFINED,
            f"the content defines {count} parameters, the limit is {limits.parameter_names}",
        )
    return tuple(name.decode() for name in custom.values())


def has_placeholders(content: bytes) -> bool:
    """Whether there is anything to put in: `{{…}}` with something between the braces."""
    return any(name for _, name in _named(content))


def _named(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Line and name of each placeholder."""
    for found in _PLACEHOLDER.finditer(content):
        yield content.count(b"\n", 0, found.start()) + 1, _bare(found)


def _bare(found: re.Match[bytes]) -> bytes:
    return found[1].translate(None, delete=_BLANKS)


def _check_name(line: int, name: bytes, limits: Limits) -> None:
    # The text between the braces may be a piece of a script that means something else by them: not shown.
    if not name:
        raise Refused(
            Kind.PARAMETER_EMPTY_NAME,
            f"line {line} holds {{{{}}}}: name the parameter, or turn EnableParameter off",
        )
    if name.startswith(_PARAMETER_STORE):
        raise Refused(
            Kind.PARAMETER_STORE, f"line {line}: oos: references are not supported; pass a parameter instead"
        )
    if not _NAME.fullmatch(name):
        raise Refused(
            Kind.PARAMETER_BAD_NAME,
            f"line {line}: a parameter's name has only letters, digits, _ and - (built-in ones begin with"
            " ACS:: in upper case); rename it, or turn EnableParameter off",
        )
    if len(name) > limits.parameter_name_bytes:
        raise Refused(
            Kind.PARAMETER_NAME_TOO_LONG,
            f"line {line}: a parameter's name has {len(name)} bytes, the limit is"
            f" {limits.parameter_name_bytes}",
        )


# -- what a call passes


def values_from_json(text: str) -> Values:
    """`Parameters` as it comes over the wire. Numbers stay as written.

    `Refused` PARAMETER_NOT_AN_OBJECT, PARAMETER_BAD_TYPE, PARAMETER_DUPLICATE."""
    try:
        parsed = json.loads(
            text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, _Pairs):
        raise Refused(
            Kind.PARAMETER_NOT_AN_OBJECT, 'Parameters must be a JSON object like {"name": "value"}'
        ) from None
    return _values(parsed)


def values_from_mapping(given: Mapping[str, object]) -> Values:
    """The same, from a program: text, numbers, booleans, None (empty). `Refused(PARAMETER_BAD_TYPE)`."""
    return _values(given.items())


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its keys as written, also those that come twice."""


def _no_constant(name: str) -> str:
    raise ValueError(name)


def _values(pairs: Iterable[tuple[str, object]]) -> Values:
    values: dict[str, str] = {}
    for key, value in pairs:
        if key in values:
            raise _duplicate(key)
        values[key] = _as_text(key, value)
    return values


def _as_text(key: str, value: object) -> str:
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise Refused(
                Kind.PARAMETER_BAD_TYPE,
                f"the value of parameter {key!r} is neither text, number nor boolean; write it as text",
            )


def check_values(
    defined: Iterable[str],
    values: Values | None,
    *,
    enabled: bool,
    limits: Limits = CLASSIC,
    needed: bool = False,
) -> None:
    """Whether `values` may be passed to a command that defines `defined`.

    None: no Parameters were sent at all; with `needed` (invoking a kept command) that is refused where
    custom names are defined. A name without a value is empty otherwise.

    `Refused`, in this order: PARAMETER_DISABLED, PARAMETER_TOO_MANY_GIVEN, PARAMETER_KEY_TOO_LONG,
    PARAMETER_BAD_CHARSET, PARAMETER_DUPLICATE, PARAMETER_UNKNOWN, PARAMETER_MISSING."""
    names = tuple(defined) if enabled else ()
    if values is None:
        if needed and names:
            raise Refused(
                Kind.PARAMETER_MISSING,
                f"the command needs Parameters ({', '.join(names)}); pass a value, or an empty one, for each",
            )
        return
    if values and not enabled:
        raise Refused(
            Kind.PARAMETER_DISABLED,
            "Parameters were passed to a command without parameters; set EnableParameter, or leave them out",
        )
    _check_given(values, limits)
    _check_known(names, values)


def _check_given(values: Values, limits: Limits) -> None:
    if len(values) > limits.parameter_values:
        raise Refused(
            Kind.PARAMETER_TOO_MANY_GIVEN,
            f"{len(values)} parameters were passed, the limit is {limits.parameter_values}",
        )
    for position, (key, value) in enumerate(values.items(), start=1):
        if len(key) > limits.parameter_name_bytes:
            raise Refused(
                Kind.PARAMETER_KEY_TOO_LONG,
                f"the name of parameter {position} has {len(key)} characters, the limit is"
                f" {limits.parameter_name_bytes}",
            )
        if not (_is_storable(key) and _is_storable(value)):
            raise Refused(
                Kind.PARAMETER_BAD_CHARSET,
                f"parameter {position} holds a NUL or a character that UTF-8 cannot carry; remove it",
            )


def _is_storable(text: str) -> bool:
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def _check_known(names: tuple[str, ...], values: Values) -> None:
    known = {name.lower() for name in names}
    seen: set[str] = set()
    for key in values:
        if key.lower() in seen:
            raise _duplicate(key)
        seen.add(key.lower())
    for key in values:
        if key.lower() not in known:
            defined = ", ".join(names) or "none"
            raise Refused(
                Kind.PARAMETER_UNKNOWN,
                f"the command has no parameter {key!r}; its parameters are: {defined}",
            )


def _duplicate(key: str) -> Refused:
    return Refused(
        Kind.PARAMETER_DUPLICATE,
        f"parameter {key!r} is passed twice (upper and lower case are the same); keep one",
    )


# -- putting the values in


def substitute(content: bytes, values: Values, builtins: Mapping[str, str]) -> bytes:
    """The script as it runs on one instance. `builtins`: by name without `ACS::`.

    Names without a value become empty. `RunFailed(Invalid, InvalidSystemBuiltInParameter)` for an
    `{{ACS::…}}` name that does not exist."""

    def built_in(line: int, name: str) -> bytes:
        if name not in builtins:
            raise RunFailed(
                RunStatus.INVALID,
                ErrorCode.INVALID_SYSTEM_BUILT_IN_PARAMETER,
                f"line {line} of the script has an unknown built-in parameter; there are"
                f" {', '.join(f'ACS::{known}' for known in builtins)}",
            )
        return builtins[name].encode()

    return _replaced(content, values, built_in)


def substitute_custom(content: bytes, values: Values) -> bytes:
    """The script with the caller's values in it, and the built-in names still there."""
    return _replaced(content, values, None)


def _replaced(content: bytes, values: Values, built_in: Callable[[int, str], bytes] | None) -> bytes:
    by_name = {key.lower().encode(): value.encode() for key, value in values.items()}

    def replacement(found: re.Match[bytes]) -> bytes:
        name = _bare(found)
        if name.startswith(_BUILT_IN):
            if built_in is None:
                return found[0]
            line = content.count(b"\n", 0, found.start()) + 1
            return built_in(line, name.removeprefix(_BUILT_IN).decode(errors="replace"))
        if not _NAME.fullmatch(name):
            return found[0]
        return by_name.get(name.lower(), b"")

    return _PLACEHOLDER.sub(replacement, content)
