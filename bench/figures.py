"""Figures of a benchmark: samples become a median and a spread, and a part's answer becomes tables.

A part answers `{"tables": [{"title": …, "kinds": {kind: {field: …}}}]}`, or, with one table, `{"kinds": …}`;
of any other nested answer each level becomes a row. A field `X_median` stands with its spread: `X_p10` and
`X_p90`, or `X_min` and `X_max` where there are fewer than ten samples, or `X_min` and `X_p99` where the
slowest count. Other fields are plain numbers or words.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["show", "summary"]

ENOUGH_FOR_TENTHS = 10
SPREADS = (("p10", "p90"), ("min", "max"), ("min", "p99"))


def summary(samples: Sequence[Mapping[str, float]], *, tail: bool = False) -> dict[str, float]:
    """Median and spread of each field over the samples, and their number. `tail`: up to the 99th."""
    figures: dict[str, float] = {"n": len(samples)}
    for field in samples[0]:
        values = sorted(sample[field] for sample in samples)
        figures[f"{field}_median"] = _short(statistics.median(values))
        if tail:
            slow = (
                statistics.quantiles(values, n=100, method="inclusive")[-1] if len(values) > 1 else values[0]
            )
            figures |= {f"{field}_min": _short(values[0]), f"{field}_p99": _short(slow)}
        elif len(values) >= ENOUGH_FOR_TENTHS:
            tenths = statistics.quantiles(values, n=10)
            figures |= {f"{field}_p10": _short(tenths[0]), f"{field}_p90": _short(tenths[-1])}
        else:
            figures |= {f"{field}_min": _short(values[0]), f"{field}_max": _short(values[-1])}
    return figures


def show(console: Console, name: str, part: Mapping[str, Any]) -> None:
    """Print a part's tables, one row for each kind; and what it says about them."""
    for table in part.get("tables") or [{"title": name, "kinds": part.get("kinds") or _rows(part)}]:
        kinds: Mapping[str, Mapping[str, Any]] = table["kinds"]
        columns = list(dict.fromkeys(_heading(field) for row in kinds.values() for field in row))
        columns = [column for column in columns if column]
        drawn = Table(title=table["title"], title_justify="left")
        drawn.add_column("kind")
        for column in columns:
            drawn.add_column(column.replace("_", " "), justify="right")
        for kind, row in kinds.items():
            drawn.add_row(kind, *[_cell(row, column) for column in columns])
        console.print(drawn)
    for note in part.get("notes", []):
        console.print(f"  {note}")
    for field, value in part.items():
        if field.startswith("target"):
            console.print(f"  {field.replace('_', ' ')}: {value}")


def _rows(nested: Mapping[str, Any], path: str = "") -> dict[str, Mapping[str, Any]]:
    """A row for each level of nested figures, named by its path."""
    rows: dict[str, Mapping[str, Any]] = {}
    plain = {field: value for field, value in nested.items() if isinstance(value, int | float)}
    if path and plain:
        rows[path] = plain
    for field, value in nested.items():
        if isinstance(value, Mapping):
            rows |= _rows(value, f"{path} {field}".strip())
    return rows


def _heading(field: str) -> str:
    """The column of a field; the spread has none of its own."""
    stem, _, last = field.rpartition("_")
    if any(last in pair for pair in SPREADS):
        return ""
    return stem if last == "median" else field


def _cell(row: Mapping[str, Any], column: str) -> str:
    if column in row:
        return _said(row[column])
    if f"{column}_median" not in row:
        return ""
    for low, high in SPREADS:
        if f"{column}_{low}" in row and f"{column}_{high}" in row:
            spread = f" ({_said(row[f'{column}_{low}'])}–{_said(row[f'{column}_{high}'])})"
            return _said(row[f"{column}_median"]) + spread
    return _said(row[f"{column}_median"])


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
