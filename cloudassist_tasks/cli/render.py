"""What is printed: data on standard output, everything else on standard error.

A table on a terminal; when piped, the same columns without colour, never cut. JSON is one document,
NDJSON one object per line.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloudassist_tasks.cli.errors import BadUsage

__all__ = ["As", "asked_form", "document", "fields", "line", "lines", "note", "progress_console", "table"]

COLOURS: Mapping[str, str] = {
    **dict.fromkeys(("Success", "online"), "green"),
    **dict.fromkeys(("Running", "Pending", "Stopping", "PartialFailed"), "yellow"),
    **dict.fromkeys(("Failed", "Error", "Timeout", "Invalid", "Aborted", "offline"), "red"),
    **dict.fromkeys(("Cancelled", "Terminated", "Stopped", "unknown"), "dim"),
}
"""Of words that are a whole cell."""


class As(StrEnum):
    """The form that was asked for."""

    TEXT = "text"
    JSON = "json"
    NDJSON = "ndjson"


def asked_form(as_json: bool, as_ndjson: bool) -> As:
    """From the two options."""
    if as_json and as_ndjson:
        raise BadUsage("--json and --ndjson exclude each other; choose one")
    return As.JSON if as_json else As.NDJSON if as_ndjson else As.TEXT


def document(value: object) -> None:
    """One JSON document."""
    line(json.dumps(value, ensure_ascii=False, indent=2))


def lines(values: Iterable[object]) -> None:
    """NDJSON: one line each, written at once."""
    for value in values:
        line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def line(text: str = "") -> None:
    """Data."""
    sys.stdout.write(_encodable(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Progress and advice."""
    print(text, file=sys.stderr, flush=True)


def progress_console() -> Console:
    """Standard error, for live counters."""
    return Console(stderr=True, highlight=False)


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """Name and value, one per line; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        line(f"{name.ljust(width)}  {value}")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns. Piped, an empty cell is `-`, so that each row has as many words as the header has."""
    if sys.stdout.isatty():
        _rich_table(headers, rows)
        return
    cells = [[cell or "-" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headers, *cells, strict=True)]
    for row in [list(headers), *cells]:
        line("  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for position, header in enumerate(headers):
        shown.add_column(header, overflow="fold", no_wrap=position == 0)
    for row in rows:
        shown.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False).print(shown)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _encodable(text: str) -> str:
    """What the terminal's encoding cannot show becomes `?`; instances write what they like."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
