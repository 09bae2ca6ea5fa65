"""Times, spans and bars of text for `everyframe summary`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pipeline.figures.document import BinPart, Part

BLOCKS: Final = " ▁▂▃▄▅▆▇█"


def when(part: Part, time_ns: int, *, every_seconds: float) -> str:
    """A time of day in UTC, or the position in a recording; no finer than the pieces are."""
    fraction = 3 if every_seconds % 1 else 0
    if part.time == "position":
        return position(time_ns / 1e9, fraction)
    at = datetime.fromtimestamp(time_ns // 10**9, tz=UTC)
    text = f"{at:%Y-%m-%d %H:%M}" if every_seconds % 60 == 0 else f"{at:%Y-%m-%d %H:%M:%S}"
    return f"{text}.{time_ns // 10**6 % 1000:03d}" if fraction else text


def position(seconds: float, fraction: int = 0) -> str:
    """``1:02:03``, ``02:03.5``."""
    minutes, rest = divmod(round(seconds, fraction), 60)
    hours, minutes = divmod(int(minutes), 60)
    width = 3 + fraction if fraction else 2
    text = f"{minutes:02d}:{rest:0{width}.{fraction}f}"
    return f"{hours}:{text}" if hours else text


def span(seconds: float) -> str:
    """``0.4 s``, ``2 min 05 s``, ``3 h 20 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def spark(values: Sequence[float], *, widest: int, highest: float | None = None) -> str:
    """Values as a line of bars, as high as they are beside the highest; of more than fit, neighbours' highest."""
    if (count := len(values)) > widest:
        values = [max(values[i * count // widest : (i + 1) * count // widest]) for i in range(widest)]
    top = highest or max(values, default=0.0)
    if top <= 0:
        return BLOCKS[0] * len(values)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[min(steps, max(round(value / top * steps), 1 if value > 0 else 0))] for value in values)


def crossings(piece: BinPart, key: tuple[str, str]) -> float:
    """How often a line was crossed one way, by whatever class; `key` is (line, direction)."""
    return sum(one.count for one in piece.lines if (one.line, one.direction) == key)


def filled(part: Part, every_seconds: float) -> list[BinPart | None]:
    """Its pieces of time in order, with None for each without a result between them, as long as there are few."""
    every_ns = round(every_seconds * 1e9)
    bins = {one.begins_ns // every_ns: one for one in part.bins}
    if not bins:
        return []
    first, last = min(bins), max(bins)
    if last - first > 20 * len(bins):
        return list(part.bins)  # pieces of many days: holes would be all there is to see
    return [bins.get(number) for number in range(first, last + 1)]
