"""Reading a folder of results, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline.config.zones import ZonesConfig, check_classes
from pipeline.errors import ConfigError, UsageError
from pipeline.figures.document import Document, Part, part_of
from pipeline.figures.period import Moment, chosen_every
from pipeline.figures.reading import Stored, find_stored, range_ns, read_items
from pipeline.figures.tally import Figures, Tally, Watch
from pipeline.messages import FrameResult, Gap

MOST_PIECES: Final = 200_000  # of time, in memory all at once


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked."""

    directory: str
    zones: ZonesConfig | None = None
    zones_file: str | None = None
    every_ns: int | None = None  # None: chosen
    begin: Moment | None = None
    end: Moment | None = None
    watch: Callable[[ZonesConfig], Watch] | None = None  # what tells of lines and zones
    tell: Callable[[int], None] = field(default=lambda _: None)  # bytes that were read
    most_pieces: int = MOST_PIECES


def answer(question: Question) -> Document:
    """What the results in a folder come to, read once, a line at a time.

    Raises:
        UsageError: there are no results, or none in that time; `ConfigError` where a class is none of the model's.
        WireError: a line is not one of ours.
    """
    stored = find_stored(question.directory)
    seconds = _seconds(question, stored)
    every_ns = question.every_ns or chosen_every(seconds)
    if (pieces := int(seconds * 1e9 / every_ns) + 1) > question.most_pieces:
        length = f"{every_ns / 1e9:g}s"
        raise UsageError(f"--every: {length} would make {pieces} pieces; {question.most_pieces} at most are allowed")
    parts: list[Part] = []
    total, sources = Figures(), []
    for one in stored:
        for source_id, figures in _figures(one, question, every_ns):
            parts.append(
                part_of(
                    figures,
                    recording=one.name,
                    source_id=source_id,
                    sources=[source_id],
                    every_ns=every_ns,
                    zones=question.zones,
                )
            )
            total.add(figures)
            sources.append(source_id)
    if not total.frames:
        limits = [f"{word} {at.text}" for word, at in (("from", question.begin), ("to", question.end)) if at]
        raise UsageError(f"{question.directory}: no result is in it{''.join(f' {limit}' for limit in limits)}")
    _check_sources(question, sources)
    return Document(
        directory=str(Path(question.directory)),
        zones_file=question.zones_file,
        every_seconds=every_ns / 1e9,
        from_=question.begin.text if question.begin else None,
        to=question.end.text if question.end else None,
        overall=part_of(total, recording="", source_id="", sources=sources, every_ns=every_ns, zones=question.zones),
        recordings=parts,
    )


def _seconds(question: Question, stored: list[Stored]) -> float:
    """For how long there is something, as far as it is asked about."""
    seconds = 0.0
    for first, last in range_ns(stored):
        begin = max(first, question.begin.of(first)) if question.begin else first
        end = min(last, question.end.of(first)) if question.end else last
        seconds += max(end - begin, 0) / 1e9
    return seconds


def _figures(stored: Stored, question: Question, every_ns: int) -> Iterator[tuple[str, Figures]]:
    """Of each source of a file, in the order they first appear."""
    tallies: dict[str, Tally] = {}
    checked: set[str] = set()
    for item in _in_time(read_items(stored, question.tell), question):
        tally = tallies.get(item.source_id)
        if tally is None:
            tally = tallies[item.source_id] = _tally(item.source_id, question, every_ns)
        if isinstance(item, FrameResult) and item.source_id not in checked:
            checked.add(item.source_id)
            _check_classes(item, question)
        tally.take(item)
    for source_id, tally in tallies.items():
        tally.finish()
        yield source_id, tally.figures


def _tally(source_id: str, question: Question, every_ns: int) -> Tally:
    zones = question.zones
    watch = question.watch(zones) if question.watch is not None and zones is not None else None
    return Tally(source_id, every_ns=every_ns, watch=watch)


def _check_classes(result: FrameResult, question: Question) -> None:
    if question.zones is not None:
        origin = question.zones_file or "zones"
        check_classes(question.zones, result.source_id, result.classes.things, origin=origin)


def _check_sources(question: Question, sources: list[str]) -> None:
    """Raises `ConfigError` where a zones file speaks of none of the sources there are."""
    zones = question.zones
    if zones is None or any(p.lies_in(s) for p in (*zones.lines, *zones.zones) for s in sources):
        return
    there = ", ".join(dict.fromkeys(sources))
    raise ConfigError(f"{question.zones_file}: sources: no line and no zone lies in one of those there are: {there}")


def _in_time(items: Iterator[FrameResult | Gap], question: Question) -> Iterator[FrameResult | Gap]:
    """Those that are asked about; a gap belongs to the result before it."""
    begins_ns: dict[str, int] = {}
    is_in: dict[str, bool] = {}
    for item in items:
        if isinstance(item, FrameResult):
            begins = begins_ns.setdefault(item.source_id, item.capture_time_ns)
            after = question.begin is None or item.capture_time_ns >= question.begin.of(begins)
            before = question.end is None or item.capture_time_ns < question.end.of(begins)
            is_in[item.source_id] = after and before
        if is_in.get(item.source_id, question.begin is None):
            yield item
