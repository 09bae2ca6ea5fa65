"""The sources of a running pipeline, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pipeline.control.protocol import ListedSource, Sources

HEADS: Final = (
    "source",
    "state",
    "picture",
    "codec",
    "fps",
    "epochs",
    "reconnects",
    "received",
    "last frame (UTC)",
    "results",
    "dropped",
    "address",
)
RIGHT: Final = {"fps", "epochs", "reconnects", "received", "results", "dropped"}
UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def listing(sources: Sources, output_format: str) -> str:
    """All of them: a table with a line for what ails one, or a JSON document."""
    return _json(sources) if output_format == "json" else _table(sources)


def _json(sources: Sources) -> str:
    rows = [_values(listed) for listed in sources.sources]
    document = msgspec.json.encode({"pipeline": sources.pipeline, "sources": rows})
    return msgspec.json.format(document, indent=2).decode() + "\n"


def _values(listed: ListedSource) -> dict[str, Any]:
    status: dict[str, Any] = msgspec.to_builtins(listed.status)
    return {**status, "address": listed.address, "added": listed.added, "device": listed.device or None}


def _table(sources: Sources) -> str:
    rows = [HEADS, *(_row(listed) for listed in sources.sources)]
    if any(listed.device for listed in sources.sources):
        devices = ("device", *(listed.device or "-" for listed in sources.sources))
        rows = [(*row[:2], device, *row[2:]) for row, device in zip(rows, devices, strict=True)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [f"pipeline {sources.pipeline}: {len(sources.sources)} source{'s' * (len(sources.sources) != 1)}"]
    for row, listed in zip(rows, (None, *sources.sources), strict=True):
        lines.append(_aligned(row, widths, heads=rows[0]))
        if listed is not None and listed.status.message:
            lines.append(f"  {listed.status.message.removeprefix(f'{listed.status.source_id}: ')}")
    return "\n".join(lines) + "\n"


def _row(listed: ListedSource) -> tuple[str, ...]:
    status = listed.status
    wait = "" if status.retry_in_seconds is None else f", next try in {status.retry_in_seconds:.0f} s"
    return (
        status.source_id,
        status.state.lower().replace("_", " ") + wait,
        f"{status.width}x{status.height}" if status.width else "-",
        status.codec or "-",
        f"{status.frame_rate:.4g}" if status.frame_rate else "-",
        str(status.epochs),
        str(status.reconnects),
        _bytes(status.received_bytes),
        _moment(status.last_frame_time_ns),
        str(status.resulted),
        str(sum(status.dropped.values())),
        listed.address + (" (added)" if listed.added else ""),
    )


def _moment(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns / 1e9, tz=UTC):%m-%d %H:%M:%S}" if wall_ns else "-"


def _bytes(count: float) -> str:
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def _aligned(cells: Sequence[str], widths: Sequence[int], *, heads: Sequence[str]) -> str:
    shown = (
        cell.rjust(width) if head in RIGHT else cell.ljust(width)
        for cell, width, head in zip(cells, widths, heads, strict=True)
    )
    return "  ".join(shown).rstrip()
