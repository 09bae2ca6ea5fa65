"""The picture that `everyframe summary --plot` draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline.cli.ask_text import crossings, position, span
from pipeline.errors import SinkError, UsageError
from pipeline.figures.document import BinPart, Document, Part
from pipeline.messages import UInt8
from pipeline.messages.panels import Bars, Curves, Panel

MOST_TICKS: Final = 12
DAY_SECONDS: Final = 86_400


def check_plot(file: str) -> None:
    """Refuse a name that no PNG has. Raises `UsageError`."""
    if Path(file).suffix.lower() != ".png":
        raise UsageError(f"--plot: {file} is no PNG; name a file that ends in .png")


def write_plot(file: str, document: Document, draw: Callable[[Sequence[Panel], str], UInt8]) -> None:
    """Draw all that was asked about, together. Raises `SinkError` where it cannot be written."""
    import cv2

    part = document.recordings[0] if len(document.recordings) == 1 else document.overall
    rgb = draw(list(panels_of(part, document.every_seconds)), title_of(document, part))
    done, data = cv2.imencode(".png", rgb[..., ::-1])
    assert done
    try:
        Path(file).write_bytes(data.tobytes())
    except OSError as exc:
        raise SinkError(f"{file}: cannot be written: {exc.strerror}; name another place with --plot") from exc


def title_of(document: Document, part: Part) -> str:
    """What is seen."""
    count = len(document.recordings)
    name = part.source_id if count == 1 else f"{document.directory}, {count} recordings"
    return f"{name}: {part.frames} results, {span(part.observed_seconds)}"


def panels_of(part: Part, every_seconds: float) -> Iterator[Panel]:
    """Counts by class over time, then lines, then zones."""
    begins = [piece.begins_ns / 1e9 for piece in part.bins]
    each = f"every {span(every_seconds)}"

    def curves(title: str, values: Mapping[str, Sequence[float]], highest: float | None = None) -> Curves:
        return Curves(title, begins, every_seconds, values, _ticks(part, every_seconds), highest)

    names = [one.class_name for one in part.classes]
    yield curves(f"Tracks seen, {each}", {n: [_of(p, n)[0] for p in part.bins] for n in names})
    yield curves(f"At once, mean, {each}", {n: [_of(p, n)[1] for p in part.bins] for n in names})
    if part.lines:
        rows = [(f"{one.line}: {one.direction}", one.classes) for one in part.lines]
        yield Bars("Lines crossed", rows)
        keys = [(one.line, one.direction) for one in part.lines]
        crossed = {f"{k[0]}: {k[1]}": [crossings(p, k) for p in part.bins] for k in keys}
        yield curves(f"Lines crossed, {each}", crossed)
    if part.zones:
        zones = [one.zone for one in part.zones]
        yield curves(f"In zones, mean, {each}", {z: [_in(p, z)[0] for p in part.bins] for z in zones})
        shares = {z: [100 * _in(p, z)[1] for p in part.bins] for z in zones}
        yield curves(f"Zones occupied, % of the time, {each}", shares, 100.0)


def _of(piece: BinPart, name: str) -> tuple[float, float]:
    """Tracks and the mean at once of a class."""
    return next(((one.tracks, one.mean_at_once) for one in piece.classes if one.class_name == name), (0.0, 0.0))


def _in(piece: BinPart, zone: str) -> tuple[float, float]:
    """The mean at once in a zone, and the share of time that somebody was."""
    return next(((one.mean_at_once, one.occupied_share) for one in piece.zones if one.zone == zone), (0.0, 0.0))


def _ticks(part: Part, every_seconds: float) -> list[tuple[float, str]]:
    """Times at the edges of pieces, some of them named."""
    if not part.bins:
        return []
    first, last = part.bins[0].begins_ns / 1e9, part.bins[-1].begins_ns / 1e9 + every_seconds
    pieces = round((last - first) / every_seconds)
    step = max(1, -(-pieces // MOST_TICKS))
    return [
        (at, _label(part, at, last - first)) for i in range(0, pieces + 1, step) for at in [first + i * every_seconds]
    ]


def _label(part: Part, at: float, whole: float) -> str:
    if part.time == "position":
        return position(at, 0 if whole >= MOST_TICKS else 1)
    time = datetime.fromtimestamp(at, tz=UTC)
    if whole > DAY_SECONDS:
        return f"{time:%m-%d %H:%M}"
    return f"{time:%H:%M}" if whole > 1200 else f"{time:%H:%M:%S}"
