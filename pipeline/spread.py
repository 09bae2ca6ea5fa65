"""Which vision worker a source goes to, where there are several: to the one that has least to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.board import SourceCells
from pipeline.seats import Seat


def load_of(cells: SourceCells) -> float | None:
    """Pixels a second that a source gives; None while its picture or its rate is not known."""
    camera = cells.decoder
    return camera.width * camera.height * camera.milli_fps / 1000 or None


def least_loaded(seats: Sequence[Seat], sources: Iterable[tuple[Seat, float | None]]) -> Seat:
    """The seat for one more source; of those alike, the one with fewest sources, and of those the first.

    Args:
        seats: to choose from, at least one.
        sources: for each source that takes part, the seat it belongs to, and its load. One that is not known counts as
            much as one that is, on the average; so where none is, sources are counted.
    """
    taking_part = list(sources)
    known = [load for _, load in taking_part if load is not None]
    typical = sum(known) / len(known) if known else 1.0
    loads: dict[int, float] = {seat.index: 0.0 for seat in seats}
    counts = dict.fromkeys(loads, 0)
    for seat, load in taking_part:
        if seat.index in loads:
            loads[seat.index] += typical if load is None else load
            counts[seat.index] += 1
    return min(seats, key=lambda seat: (loads[seat.index], counts[seat.index], seat.index))


def placement(seats: Sequence[Seat], sources: Mapping[str, Seat]) -> str:
    """Which source is where, in one line for people; empty where there is one place."""
    if len(seats) < 2:
        return ""
    of_each = [(seat.label, [name for name, at in sources.items() if at is seat]) for seat in seats]
    return "sources by device: " + "; ".join(f"{label}: {', '.join(names) or 'none'}" for label, names in of_each)


def labels(devices: Sequence[str]) -> list[str]:
    """What to call each: the device, numbered where it is there more than once."""
    return [
        device if devices.count(device) == 1 else f"{device}#{devices[: i + 1].count(device)}"
        for i, device in enumerate(devices)
    ]
