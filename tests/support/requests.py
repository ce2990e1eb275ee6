"""Requests of every operation, made by looking at the types: what could be asked, sensible or not."""

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudassist_tasks.contract.operation import Operation
from cloudassist_tasks.contract.wire import Form, Shape, fields_of

__all__ = ["requests_of", "some_requests"]


def requests_of(operation: type[Operation[Any]], texts: Sequence[str]) -> st.SearchStrategy[Operation[Any]]:
    """Well-formed requests; texts, wherever they stand, are chosen from `texts`."""
    strategy: st.SearchStrategy[Operation[Any]] = _of(operation, texts)
    return strategy


def some_requests(
    operation: type[Operation[Any]], texts: Sequence[str], count: int
) -> Sequence[Operation[Any]]:
    """So many of them, for a test that sends them on its own event loop."""
    drawn: list[Operation[Any]] = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests_of(operation, texts))
    def draw(request: Operation[Any]) -> None:
        drawn.append(request)

    draw()
    return drawn


def _of(cls: type[Any], texts: Sequence[str]) -> st.SearchStrategy[Any]:
    fields = fields_of(cls)
    return st.fixed_dictionaries(
        {field.name: _value(field.shape, texts) for field in fields if field.needed},
        optional={field.name: _value(field.shape, texts) for field in fields if not field.needed},
    ).map(lambda given: cls(**given))


def _value(shape: Shape, texts: Sequence[str]) -> st.SearchStrategy[Any]:
    text = st.sampled_from(list(texts))
    match shape:
        case Shape(Form.STRING):
            return text
        case Shape(Form.INTEGER):
            return st.integers(-1, 60)
        case Shape(Form.BOOLEAN):
            return st.booleans()
        case Shape(Form.ARRAY, item=item) if item is not None:
            return st.lists(_value(item, texts), min_size=0, max_size=2).map(tuple)
        case Shape(Form.OBJECT, cls=cls) if cls is not None:
            return _of(cls, texts)
        case _:
            return st.dictionaries(st.just("name"), text, max_size=1)
