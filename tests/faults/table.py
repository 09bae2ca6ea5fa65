"""The table of faults: one row a test, as text for a person and as JSON for a page."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

LEAST_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Row:
    """What one test showed."""

    fault: str
    promise: str
    seen: str
    outcome: str  # passed, failed, skipped
    test: str  # pytest's id of it


def as_text(rows: Sequence[Row], *, width: int) -> str:
    """The table in so many columns of characters, faults together in the order in which they were first met."""
    table = Table(expand=True, box=box.SIMPLE_HEAD)
    for name, share in (("fault", 3), ("promise", 4), ("seen", 5)):
        table.add_column(name, ratio=share, overflow="fold")
    table.add_column("", no_wrap=True)
    above = Row("", "", "", "", "")
    for row in in_order(rows):
        fault = "" if row.fault == above.fault else row.fault
        promise = "" if (row.fault, row.promise) == (above.fault, above.promise) else row.promise
        # As Text, because what was seen may hold brackets, which rich takes for markup.
        table.add_row(*map(Text, (fault, promise, row.seen, row.outcome)))
        above = row
    out = io.StringIO()
    Console(file=out, width=max(width, LEAST_WIDTH), color_system=None).print(table)
    return out.getvalue().rstrip()


def as_json(rows: Sequence[Row]) -> str:
    """A list of objects with the keys `fault`, `promise`, `seen`, `outcome`, `test`."""
    return json.dumps([asdict(row) for row in in_order(rows)], indent=2, ensure_ascii=False) + "\n"


def in_order(rows: Sequence[Row]) -> list[Row]:
    """The rows with those of one fault together."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.fault, len(first))
    return sorted(rows, key=lambda row: first[row.fault])
