"""What `everyframe summary` prints: tables, with bars of text over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.ask_text import crossings, filled, span, spark, when
from pipeline.figures.document import BinPart, DirectionPart, Document, Part, Spread

WIDE: Final = 200  # columns where the output is no terminal, so that no row is folded
MOST_CLASSES: Final = 6  # with columns of their own in the table over time
LONGEST_BAR: Final = 16
BESIDE: Final = 76  # columns that a table may need beside what is drawn over time
NARROWEST, WIDEST = 8, 60  # characters of that
Key = TypeVar("Key")


def print_document(document: Document, console: Console | None = None) -> None:
    """Print each recording and, of several, all together; to the output stream where no console is given."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE, color_system=None)
    parts = document.recordings if len(document.recordings) == 1 else [*document.recordings, document.overall]
    for part in parts:
        _print_part(console, part, document.every_seconds)


def _print_part(console: Console, part: Part, every_seconds: float) -> None:
    room = max(NARROWEST, min(WIDEST, console.width - BESIDE))
    console.print(Text(name_of(part), style="bold"))
    console.print(Text(_told(part, every_seconds), style="dim"))
    if part.classes:
        console.print(_classes(part, every_seconds, room))
    if part.lines:
        console.print(_lines(part, every_seconds, room))
    if part.zones:
        console.print(_zones(part, every_seconds, room))
    if part.classes:
        console.print(_over_time(part, every_seconds, console.width))


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


def _classes(part: Part, every_seconds: float, room: int) -> Table:
    table = _table("class", "tracks", "most at\nonce", "mean at\nonce", "there:\nmedian", "p90", "longest")
    table.add_column(f"mean at once,\nevery {span(every_seconds)}", no_wrap=True)
    for one in part.classes:
        over_time = _series(part, every_seconds, _class_mean, one.class_name)
        table.add_row(
            one.class_name,
            str(one.tracks),
            str(one.most_at_once),
            f"{one.mean_at_once:.2f}",
            *_spread(one.dwell),
            spark(over_time, widest=room),
        )
    return table


def _lines(part: Part, every_seconds: float, room: int) -> Table:
    table = _table("line", "crossings")
    table.add_column("of which")
    table.add_column("over time", no_wrap=True)
    keys = [_key(one) for one in part.lines]
    series = {key: _series(part, every_seconds, crossings, key) for key in keys}
    highest = max((value for values in series.values() for value in values), default=0.0)
    for one in part.lines:
        of_which = ", ".join(f"{name} {count}" for name, count in one.classes.items())
        over_time = spark(series[_key(one)], highest=highest, widest=room)
        table.add_row(f"{one.line}: {one.direction}", str(one.count), of_which, over_time)
    return table


def _zones(part: Part, every_seconds: float, room: int) -> Table:
    """A row a zone, and below it one for each class that visited it."""
    table = _table("zone", "occu-\npied", "most at\nonce", "mean at\nonce", "visits", "median", "p90", "longest")
    table.add_column("over time", no_wrap=True)
    for one in part.zones:
        table.add_row(
            one.zone,
            f"{one.occupied_share:.1%}",
            str(one.most_at_once),
            f"{one.mean_at_once:.2f}",
            str(one.visits.count),
            *_spread(one.visits),
            spark(_series(part, every_seconds, _zone_mean, one.zone), widest=room),
        )
        for visitors in one.classes if len(one.classes) > 1 else ():
            visits = visitors.visits
            table.add_row(f"  {visitors.class_name}", "", "", "", str(visits.count), *_spread(visits), style="dim")
    return table


def _over_time(part: Part, every_seconds: float, width: int) -> Table:
    """A row a piece of time; classes that have no room are in the last column only."""
    columns = max(1, min(MOST_CLASSES, (width - 50) // 14))
    names = [one.class_name for one in part.classes[:columns]]
    table = _table("tracks/most/mean", *names)
    table.add_column("all, mean at once", no_wrap=True)
    highest = max((_all_mean(piece) for piece in part.bins), default=0.0)
    for piece in part.bins:
        bar = "█" * round(LONGEST_BAR * _all_mean(piece) / highest) if highest else ""
        table.add_row(
            when(part, piece.begins_ns, every_seconds=every_seconds),
            *(_cell(piece, name) for name in names),
            f"{bar} {_all_mean(piece):.2f}",
        )
    return table


def _cell(piece: BinPart, name: str) -> str:
    for one in piece.classes:
        if one.class_name == name:
            return f"{one.tracks}/{one.most_at_once}/{one.mean_at_once:.2f}"
    return "-"


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
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
