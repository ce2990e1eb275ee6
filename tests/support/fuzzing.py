"""Requests that nobody means: every parameter of every operation, with any value, signed well or badly.

Names come from the types, so an operation that is added is covered without a word here. `requests` is a
Hypothesis strategy; `send` sends one, `Seen` counts what came back. Whatever is sent, the answer must be a
JSON object with a status below 500, and must come.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from hypothesis import strategies as st

from cloudassist_tasks.contract.catalogue import NOT_YET, OPERATIONS
from cloudassist_tasks.contract.wire import Field, Form, Shape, fields_of
from tests.support.signed import Reply, SignedCaller

DEEP = 3_000

ODD_VALUES = (
    *("", "-1", "9" * 30, "1e9", "[]", '{"a":1}', "[" * DEEP, "x" * 30_000, "\x00", "\r\nX: y", "ü" * 3_000),
    *("\\ud800", "{{a}}", "../etc/passwd", "NaN", "$(id)", "2026-13-45T99:99:99Z", "docker://x", "null"),
)

_OTHER_WAYS = ("form", "form", "v1", "v1", "v1", "spoilt", "unsigned")


@dataclass(frozen=True, slots=True)
class Asked:
    action: str
    parameters: Mapping[str, str] = field(repr=False)
    method: str
    how: str
    """v3, form, ours, spoilt, v1 or unsigned."""


@dataclass(slots=True)
class Seen:
    """What was sent and answered."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    actions: set[str] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)
    """Of parameters, as they were sent, by action."""

    def add(self, asked: Asked, reply: Reply) -> None:
        self.requests += 1
        self.statuses[reply.status] += 1
        self.codes[reply.code or "(success)"] += 1
        self.actions.add(asked.action)
        self.names.setdefault(asked.action, set()).update(asked.parameters)

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        codes = ", ".join(f"{code} {count:,}" for code, count in self.codes.most_common(10))
        failures = sum(count for status, count in self.statuses.items() if status >= 500)
        return (
            f"{self.requests:,} requests, {len(self.actions)} actions; statuses {statuses}; 5xx: {failures};"
            f" {len(self.codes)} codes, most often {codes}"
        )


def send(caller: SignedCaller, asked: Asked) -> Reply:
    """The answer, which is a JSON object; a hang ends by the caller's deadline. Whoever is told that the
    store did not answer in time asks once more: a request that breaks the endpoint breaks it twice."""
    reply = _sent(caller, asked)
    return _sent(caller, asked) if (reply.status, reply.code) == (503, "ServiceUnavailable") else reply


def _sent(caller: SignedCaller, asked: Asked) -> Reply:
    match asked.how:
        case "v1":
            return caller.call_v1(asked.action, asked.parameters, method=asked.method)
        case "unsigned":
            return caller.send(asked.method, "/?Version=2014-05-26&Action=RunCommand", {"x-acs-action": "x"})
        case how:
            return caller.call(
                asked.action,
                asked.parameters,
                method=asked.method,
                as_form=how == "form",
                ours=how == "ours",
                spoilt=how == "spoilt",
            )


def requests(known: Sequence[str], right: Mapping[str, Mapping[str, str]]) -> st.SearchStrategy[Asked]:
    """`known`: ids of things that are there; `right`: requests that would be carried out, by action. So many
    get far before what is wrong with them is met."""
    values = _values(known)
    actions = st.sampled_from([*[*OPERATIONS] * 5, *sorted(NOT_YET), "Nothing", ""])
    return actions.flatmap(lambda action: _requests_of(action, values, right.get(action, {})))


def each_parameter(right: Mapping[str, Mapping[str, str]]) -> Iterator[Asked]:
    """Every parameter of every operation once, with a value that nobody means, in a request that would be
    carried out but for it."""
    odd = cycle(ODD_VALUES)
    for action, operation in OPERATIONS.items():
        how = "ours" if operation.extension else "v3"
        for one in fields_of(operation):
            sent = {**right.get(action, {}), _plain_name(one): next(odd)}
            yield Asked(action, sent, "POST", how)


def _requests_of(
    action: str, values: st.SearchStrategy[str], right: Mapping[str, str]
) -> st.SearchStrategy[Asked]:
    operation = OPERATIONS.get(action)
    known = fields_of(operation) if operation else ()
    ours = operation is not None and operation.extension
    needed = st.fixed_dictionaries({_plain_name(one): _fitting(one, values) for one in known if one.needed})
    nonsense = st.tuples(st.text(max_size=30), values)
    meant = [st.tuples(_names(one), _fitting(one, values)) for one in known]
    any_ = st.lists(st.one_of(nonsense, *meant), max_size=4).map(dict)
    return st.builds(
        lambda first, more, method, how: Asked(action, {**first, **more}, method, how),
        st.one_of(st.just(right), st.just(right), needed, st.just({})),
        any_,
        st.sampled_from([*["POST"] * 8, *["GET"] * 4, "PUT"]),
        st.sampled_from([*["ours" if ours else "v3"] * 10, "v3", "ours", *_OTHER_WAYS]),
    )


def _names(one: Field) -> st.SearchStrategy[str]:
    """How a parameter may be called: rightly, and in every wrong way of lists and objects."""
    return st.sampled_from([*[_plain_name(one)] * 120, *_ways(one.wire, one.shape)])


def _ways(wire: str, shape: Shape) -> Sequence[str]:
    ways = [
        wire,
        f"{wire}.1",
        f"{wire}.2",
        f"{wire}.0",
        f"{wire}.-1",
        f"{wire}.x",
        f"{wire}.1.1.1",
        f"{wire}..1",
    ]
    ways += [f"{wire}.999999999", f"{wire}.{'1.' * 50}1"]
    inner = shape.item.cls if shape.item is not None else shape.cls
    if inner is not None:
        ways += [f"{wire}.{n}.{field.wire}" for n in (1, 2) for field in fields_of(inner)]
    return ways


def _plain_name(one: Field) -> str:
    if one.shape.form is not Form.ARRAY:
        return one.wire
    item = one.shape.item
    return f"{one.wire}.1.{fields_of(item.cls)[0].wire}" if item and item.cls else f"{one.wire}.1"


def _fitting(one: Field, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A value of its kind more often than not."""
    words: Mapping[str, Sequence[str]] = {
        "Type": ["RunShellScript", "RunBatScript", "RunPowerShellScript"],
        "CommandContent": ["echo ok", "ZWNobyBvaw==", "echo {{a}} {{ACS::InstanceId}}"],
        "ResourceType": ["instance", "command", "invocation"],
        "TargetDir": ["/tmp", "/", "/tmp/../etc"],
    }
    if one.wire in words:
        fit = st.sampled_from(words[one.wire])
    elif one.shape.form is Form.INTEGER:
        fit = st.integers(-1, 100).map(str)
    elif one.shape.form is Form.BOOLEAN:
        fit = st.sampled_from(["true", "False"])
    else:
        return values
    return st.one_of(fit, fit, fit, values)


def _values(known: Sequence[str]) -> st.SearchStrategy[str]:
    words = [
        *known, *known,
        "", "0", "-1", "1", "10", "50", "51", "100001", "9" * 30, "1e9", "true", "False", "None", "null",
        "Once", "Period", "DryRun", "EveryReboot", "Base64", "PlainText", "Running", "Success", "Finished",
        "Process", "rate(1m)", "0 */20 * * * *", "instance", "command", "invocation", "linux",
        "RunShellScript", "env", "test", "*", "*" * 60, "a*b*c*" * 20, "/tmp", "../etc/passwd", "root",
        "[]", "{}", '["i-1"]', '{"a":"1"}', '{"a":1,"a":2,"A":3}', '{"a":{"b":[1]}}', "{'a': 'b'}", '"text"',
        "NaN", "[1e999]", '{"a":1e999999}', "[" * DEEP, '{"a":' * DEEP, "(" * DEEP,
        "\\ud800", "\x00", "a\x00b", "\r\nX: y", "%00%ff", "ü" * 3_000, "漢字", "\u202e", "\U0001f600" * 9,
        "{{a}}", "{{}}", "{{" * 500, "{{ACS::Nothing}}", '{{ACS::ScriptFileName|Ext(".py")}}',
        "x" * 300, "x" * 30_000, "docker://" + "a" * 64, "oss://b/p", "acs:x", "https://x", "k=v",
        "2026-13-45T99:99:99Z", "http://127.0.0.1:1/", "'; DROP TABLE x; --", "$(id)", "${x}",
    ]  # fmt: skip
    undecodable = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    return st.one_of(
        st.sampled_from(words),
        st.sampled_from(words),
        st.text(max_size=60),
        st.integers().map(str),
        undecodable,
    )


def check(asked: Asked, reply: Reply) -> None:
    """What holds for every answer."""
    assert reply.status < 500, (asked.action, dict(asked.parameters), reply)
    assert reply.body.get("RequestId"), reply
    if reply.status != 200:
        parts: Any = [reply.body.get(name) for name in ("Code", "Message", "HostId")]
        assert all(isinstance(part, str) for part in parts), reply
