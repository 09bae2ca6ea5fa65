"""What tracks do at lines and zones, as events.

A state machine without a clock or a socket: time is the results' time of capture, and the same results give the same
events. The rules, which README.md gives for people:

* A track is where its anchor was when it was last *seen* (confirmed). While it is lost it stays there, and does
  nothing; where it is seen again, the straight way between counts as its move. A gap is no different.
* It has crossed a line when its moves have crossed it, one way more often than the other, since it was last as far
  from it as the margin, and it is that far again. So trembling on a line is no crossing, and an object that is fast
  enough to be on either side in neighbouring frames has crossed.
* It enters a zone where it is first seen inside, and has left where it is outside by the margin; its visit lasts from
  the first frame it was inside in to the last, and ends also with the track, the epoch and the source's session.

Boxes are taken to hundredths of a pixel, as JSON has them, so that a file tells the same as what was published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.config.zones import ZonesConfig, check_classes
from pipeline.errors import ConfigError
from pipeline.messages import FrameResult, Item, LeftReason, SourceStatus, TrackState, ZoneEvent
from stages.zones.followed import INSIDE, OUTSIDE, VISITING, Followed
from stages.zones.layout import Layout, watched

BOX_DECIMALS, SCORE_DECIMALS = 2, 4  # as the JSON form has
Floats = npt.NDArray[np.float64]
SESSION_GOES_ON: Final = ("STREAMING", "STALLED")  # every other state means that a new epoch comes, or none


@dataclass(slots=True)
class _Source:
    """One source's epoch."""

    epoch: int
    layout: Layout
    followed: Followed
    occupancy: npt.NDArray[np.int64]  # [Z] visitors
    class_names: tuple[str, ...] = ()
    line_classes: Any = None  # bool [C, L]
    zone_classes: Any = None  # bool [C, Z]
    seq: int = 0
    time_ns: int = 0
    numbered: int = 0  # events of this frame so far


class ZoneWatch:
    """Events of any number of sources, each source's items in order."""

    def __init__(self, config: ZonesConfig) -> None:
        self._config = config
        self._sources: dict[str, _Source] = {}
        self._unknown: dict[str, None] = {}  # complaints, in order; those told of are kept, to be told once
        self._told = 0

    def complaints(self) -> list[str]:
        """What people should be told since this was last asked: of classes that no model has."""
        new = list(self._unknown)[self._told :]
        self._told += len(new)
        return new

    def take(self, item: Item) -> list[ZoneEvent]:
        """The events that an item brings."""
        if isinstance(item, FrameResult):
            return list(self._result(item))
        if isinstance(item, SourceStatus) and (item.state == "REMOVED" or _is_over(item)):
            return list(self._over(item))
        return []

    def end_all(self) -> list[ZoneEvent]:
        """The end of every visit there is."""
        return [event for source_id in self._sources for event in self._end(source_id)]

    def occupancy(self, source_id: str) -> dict[str, int]:
        """How many visitors each zone of a source has now."""
        source = self._sources.get(source_id)
        if source is None:
            return {}
        names = (zone.name for zone in source.layout.zones)
        return dict(zip(names, source.occupancy.tolist(), strict=True))

    def _result(self, result: FrameResult) -> Iterator[ZoneEvent]:
        source = self._sources.get(result.source_id)
        if source is not None and result.epoch < source.epoch:
            return
        if source is None or result.epoch > source.epoch:
            if source is not None:
                yield from self._end(result.source_id)
            source = self._sources[result.source_id] = self._begun(result)
        source.seq, source.time_ns, source.numbered = result.seq, result.capture_time_ns, 0
        if source.layout.is_empty:
            return
        before = source.occupancy.copy()
        if result.classes.names != source.class_names:
            self._learn(source, result)
        yield from _dismiss(result.source_id, source, result)
        yield from _step(result.source_id, source, self._config, result)
        yield from _occupancy(result.source_id, source, before)

    def _begun(self, result: FrameResult) -> _Source:
        layout = Layout.of(self._config, result.source_id, result.width, result.height)
        nobody = Followed.new(np.zeros(0, dtype=np.int64), len(layout.lines), len(layout.zones))
        return _Source(result.epoch, layout, nobody, np.zeros(len(layout.zones), dtype=np.int64))

    def _learn(self, source: _Source, result: FrameResult) -> None:
        source.class_names = names = result.classes.names
        source.line_classes = watched(source.layout.lines, names)
        source.zone_classes = watched(source.layout.zones, names)
        try:
            check_classes(self._config, result.source_id, result.classes.things, origin="zones")
        except ConfigError as exc:
            self._unknown[str(exc)] = None

    def _over(self, status: SourceStatus) -> Iterator[ZoneEvent]:
        if status.source_id in self._sources:
            yield from self._end(status.source_id)
            if status.state == "REMOVED":
                del self._sources[status.source_id]

    def _end(self, source_id: str) -> Iterator[ZoneEvent]:
        """The end of the visits of a source, told with its last frame."""
        source = self._sources[source_id]
        before = source.occupancy.copy()
        gone, source.followed = source.followed, source.followed[:0]
        yield from _ended(source_id, source, gone)
        yield from _occupancy(source_id, source, before)


def _is_over(status: SourceStatus) -> bool:
    """Whether no more comes of the source's session: what it is doing is told before its last results are."""
    return status.state not in SESSION_GOES_ON and status.in_flight == 0


def _dismiss(source_id: str, source: _Source, result: FrameResult) -> Iterator[ZoneEvent]:
    """Tracks that have ended."""
    stays = _among(source.followed.ids, np.sort(result.tracks.ids[result.tracks.alive]))
    if not stays.all():
        gone, source.followed = source.followed[~stays], source.followed[stays]
        yield from _ended(source_id, source, gone)


def _ended(source_id: str, source: _Source, gone: Followed) -> Iterator[ZoneEvent]:
    for row, zone in np.argwhere(gone.phase == VISITING).tolist():
        yield _left(source_id, source, gone, row, zone, "track_ended")


def _step(source_id: str, source: _Source, config: ZonesConfig, result: FrameResult) -> Iterator[ZoneEvent]:
    """Tracks that were seen: where they came from, and where they are."""
    tracks = result.tracks
    seen = np.flatnonzero(tracks.states == TrackState.CONFIRMED)
    if not len(seen):
        return
    seen = seen[np.argsort(tracks.ids[seen])]
    ids = tracks.ids[seen]
    new = ~_among(ids, source.followed.ids)
    if new.any():
        source.followed = source.followed.with_new(ids[new])
    followed = source.followed
    rows = np.searchsorted(followed.ids, ids)
    boxes = np.asarray(np.round(tracks.boxes[seen].astype(np.float64), BOX_DECIMALS), dtype=np.float64)
    anchors = _anchors(boxes, config.anchor)
    came_from = np.where(new[:, None], anchors, followed.anchors[rows])
    followed.anchors[rows], followed.boxes[rows], followed.labels[rows] = anchors, boxes, tracks.labels[seen]
    followed.scores[rows] = np.round(tracks.scores[seen].astype(np.float64), SCORE_DECIMALS)
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    margins = config.margin * np.sqrt(sizes[:, 0] * sizes[:, 1])  # [N] pixels
    yield from _lines(source_id, source, rows, came_from, margins)
    yield from _zones(source_id, source, rows, margins)


def _lines(source_id: str, source: _Source, rows: Any, came_from: Any, margins: Any) -> Iterator[ZoneEvent]:
    layout, followed = source.layout, source.followed
    net = followed.crossing[rows] + layout.crossed(came_from, followed.anchors[rows])
    near = np.flatnonzero(net.any(axis=1))
    if len(near):
        is_far = np.zeros(net.shape, dtype=np.bool_)
        is_far[near] = layout.line_distances(followed.anchors[rows[near]]) >= margins[near, None]
        counts = is_far & (net != 0) & source.line_classes[followed.labels[rows]]
        for at, line in np.argwhere(counts).tolist():
            config = layout.lines[line]
            direction = config.directions[0 if net[at, line] > 0 else 1]
            yield _event(source_id, source, "line_crossed", config.name, followed, int(rows[at]), direction=direction)
        net[is_far] = 0
    followed.crossing[rows] = net


def _zones(source_id: str, source: _Source, rows: Any, margins: Any) -> Iterator[ZoneEvent]:
    layout, followed, time_ns = source.layout, source.followed, source.time_ns
    phase = followed.phase[rows]
    is_in = layout.inside(followed.anchors[rows]) & source.zone_classes[followed.labels[rows]]
    leaves = (phase != OUTSIDE) & ~is_in
    if leaves.any():
        near = np.flatnonzero(leaves.any(axis=1))
        leaves[near] &= layout.edge_distances(followed.anchors[rows[near]]) >= margins[near, None]
        for at, zone in np.argwhere(leaves & (phase == VISITING)).tolist():
            yield _left(source_id, source, followed, int(rows[at]), zone, "moved")
        phase[leaves] = OUTSIDE
    entered_ns, inside_ns = followed.entered_ns[rows], followed.inside_ns[rows]
    enters = is_in & (phase == OUTSIDE)
    entered_ns[enters], phase[enters] = time_ns, INSIDE
    inside_ns[is_in] = time_ns
    followed.entered_ns[rows], followed.inside_ns[rows] = entered_ns, inside_ns
    counts = is_in & (phase == INSIDE) & (time_ns - entered_ns >= layout.min_dwell_ns)
    phase[counts] = VISITING
    followed.phase[rows] = phase
    for at, zone in np.argwhere(counts).tolist():
        source.occupancy[zone] += 1
        row = int(rows[at])
        entered = int(followed.entered_ns[row, zone])
        yield _event(source_id, source, "zone_entered", layout.zones[zone].name, followed, row, entered_time_ns=entered)


def _among(ids: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which ids are known ones, sorted: `numpy.isin` takes ten times as long for as few as there are."""
    if not len(known):
        return np.zeros(len(ids), dtype=np.bool_)
    at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.asarray(known[at] == ids)


def _anchors(boxes: Floats, anchor: str) -> Floats:
    """[N, 2]: the middle of the lower edge, or of the box."""
    x = (boxes[:, 0] + boxes[:, 2]) / 2
    y = boxes[:, 3] if anchor == "bottom" else (boxes[:, 1] + boxes[:, 3]) / 2
    return np.stack([x, y], axis=1)


def _left(source_id: str, source: _Source, followed: Followed, row: int, zone: int, reason: LeftReason) -> ZoneEvent:
    source.occupancy[zone] -= 1
    return _event(
        source_id,
        source,
        "zone_left",
        source.layout.zones[zone].name,
        followed,
        row,
        entered_time_ns=int(followed.entered_ns[row, zone]),
        left_time_ns=int(followed.inside_ns[row, zone]),
        reason=reason,
    )


def _occupancy(source_id: str, source: _Source, before: npt.NDArray[np.int64]) -> Iterator[ZoneEvent]:
    for zone in np.flatnonzero(source.occupancy != before).tolist():
        yield ZoneEvent(
            type="occupancy_changed",
            source_id=source_id,
            epoch=source.epoch,
            seq=source.seq,
            number=_next_number(source),
            time_ns=source.time_ns,
            place=source.layout.zones[zone].name,
            occupancy=int(source.occupancy[zone]),
        )


def _event(
    source_id: str, source: _Source, type_: Any, place: str, followed: Followed, row: int, **more: Any
) -> ZoneEvent:
    left, top, right, bottom = followed.boxes[row].tolist()
    return ZoneEvent(
        type=type_,
        source_id=source_id,
        epoch=source.epoch,
        seq=source.seq,
        number=_next_number(source),
        time_ns=source.time_ns,
        place=place,
        track_id=int(followed.ids[row]),
        class_name=source.class_names[int(followed.labels[row])],
        score=float(followed.scores[row]),
        box=(left, top, right, bottom),
        **more,
    )


def _next_number(source: _Source) -> int:
    source.numbered += 1
    return source.numbered - 1
