"""Logs: JSON lines, one canonical line per unit of work.

`log("run_ended", status=…)` writes one line; ids are bound by context with `bound(invoke_id=…)`. The event
is a stable name; facts are fields. Fields never hold a script, parameter, output, environment or key.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

logger = logging.getLogger("cloudassist")

_NOTHING: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("bound", default=_NOTHING)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Add these fields to every line logged inside, in this context only."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def log(event: str, level: int = logging.INFO, **fields: object) -> None:
    """One line about one thing that happened."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"fields": {**_bound.get(), **fields}})


class JsonLines(logging.Formatter):
    """Every record as one JSON object: time, level, event, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.name != logger.name:
            line["logger"] = record.name
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str = "INFO") -> None:
    """JSON lines of all loggers to standard error; replaces what stood there."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    logging.getLogger("paramiko").setLevel(logging.WARNING)
