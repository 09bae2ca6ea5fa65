"""What `everyframe summary` prints: tables, with bars of text over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.ask_text import filled, span, spark, when
from pipeline.figures.document import BinPart, DirectionPart, Document, Part, Spread

WIDE: Final = 200  # columns where the output is no terminal, so that no row is folded
MOST_CLASSES: Final = 6  # with columns of their own in the table over time
Key = TypeVar("Key")

SPREAD: Final = ("median", "p90", "longest")


def print_document(document: Document) -> None:
    """Print each recording and, of several, all together."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE, color_system=None)
    parts = document.recordings if len(document.recordings) == 1 else [*document.recordings, document.overall]
    for part in parts:
        _print_part(console, part, document.every_seconds)


def _print_part(console: Console, part: Part, every_seconds: float) -> None:
    console.print(Text(name_of(part), style="bold"))
    console.print(Text(_told(part, every_seconds), style="dim"))
    if part.classes:
        console.print(_classes(part, every_seconds))
    if part.lines:
        console.print(_lines(part, every_seconds))
    if part.zones:
        console.print(_zones(part, every_seconds))
    if part.classes:
        console.print(_over_time(part, every_seconds))


def name_of(part: Part) -> str:
    """How a part is called."""
    if not part.recording:
        return "all together"
    return part.recording if part.recording == part.source_id else f"{part.recording}: {part.source_id}"


def _told(part: Part, every_seconds: float) -> str:
    told = f"{part.frames} results, {span(part.observed_seconds)}"
    if part.begins_ns is not None and part.ends_ns is not None:
        begins, ends = (when(part, at, every_seconds=min(every_seconds, 1)) for at in (part.begins_ns, part.ends_ns))
        told += f", from {begins} to {ends}{' UTC' if part.time == 'of day' else ''}"
    if part.gap_frames:
        told += f"; {part.gap_frames} frames are missing"
    return told + ("" if part.classes else "; nothing was tracked")


def _classes(part: Part, every_seconds: float) -> Table:
    table = _table("class", "tracks", "most at once", "mean at once", *(f"there: {w}" for w in SPREAD))
    table.add_column("mean at once over time", no_wrap=True)
    for one in part.classes:
        over_time = _series(part, every_seconds, _class_mean, one.class_name)
        table.add_row(
            one.class_name,
            str(one.tracks),
            str(one.most_at_once),
            f"{one.mean_at_once:.2f}",
            *_spread(one.dwell),
            spark(over_time),
        )
    return table


def _lines(part: Part, every_seconds: float) -> Table:
    table = _table("line", "direction", "crossings")
    table.add_column("of which")
    table.add_column("over time", no_wrap=True)
    keys = [_key(one) for one in part.lines]
    series = {key: _series(part, every_seconds, _crossings, key) for key in keys}
    highest = max((value for values in series.values() for value in values), default=0.0)
    for one in part.lines:
        of_which = ", ".join(f"{name} {count}" for name, count in one.classes.items())
        table.add_row(one.line, one.direction, str(one.count), of_which, spark(series[_key(one)], highest=highest))
    return table


def _zones(part: Part, every_seconds: float) -> Table:
    table = _table("zone", "occupied", "most at once", "mean at once", "visits", *(f"visit: {w}" for w in SPREAD))
    table.add_column("by class (visits, median)")
    table.add_column("mean at once over time", no_wrap=True)
    for one in part.zones:
        by_class = ", ".join(f"{c.class_name} {c.visits.count} ({span(c.visits.median_seconds)})" for c in one.classes)
        table.add_row(
            one.zone,
            f"{one.occupied_share:.1%}",
            str(one.most_at_once),
            f"{one.mean_at_once:.2f}",
            str(one.visits.count),
            *_spread(one.visits),
            by_class,
            spark(_series(part, every_seconds, _zone_mean, one.zone)),
        )
    return table


def _over_time(part: Part, every_seconds: float) -> Table:
    names = [one.class_name for one in part.classes[:MOST_CLASSES]]
    table = _table(f"every {span(every_seconds)}", *(f"{name}\ntracks/most/mean" for name in names))
    table.add_column("all, mean at once", no_wrap=True)
    highest = max((_all_mean(piece) for piece in part.bins), default=0.0)
    for piece in part.bins:
        table.add_row(
            when(part, piece.begins_ns, every_seconds=every_seconds),
            *(_cell(piece, name) for name in names),
            f"{'█' * round(20 * _all_mean(piece) / highest) if highest else ''} {_all_mean(piece):.2f}",
        )
    return table


def _cell(piece: BinPart, name: str) -> str:
    for one in piece.classes:
        if one.class_name == name:
            return f"{one.tracks:>4} {one.most_at_once:>4} {one.mean_at_once:>7.2f}"
    return "-"


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="left" if name == "direction" else "right")
    return table


def _spread(spread: Spread) -> tuple[str, str, str]:
    if not spread.count:
        return "-", "-", "-"
    return span(spread.median_seconds), span(spread.p90_seconds), span(spread.longest_seconds)


def _series(part: Part, every_seconds: float, value: Callable[[BinPart, Key], float], key: Key) -> Sequence[float]:
    return [0.0 if piece is None else value(piece, key) for piece in filled(part, every_seconds)]


def _key(one: DirectionPart) -> tuple[str, str]:
    return one.line, one.direction


def _class_mean(piece: BinPart, name: str) -> float:
    return next((one.mean_at_once for one in piece.classes if one.class_name == name), 0.0)


def _zone_mean(piece: BinPart, name: str) -> float:
    return next((one.mean_at_once for one in piece.zones if one.zone == name), 0.0)


def _all_mean(piece: BinPart) -> float:
    return sum(one.mean_at_once for one in piece.classes)


def _crossings(piece: BinPart, key: tuple[str, str]) -> float:
    return sum(one.count for one in piece.lines if (one.line, one.direction) == key)
