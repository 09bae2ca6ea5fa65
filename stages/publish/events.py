"""What happens to tracks, as events: one when a track is confirmed, some while it goes on, one when it is gone.

A state machine without a clock or a socket: time is the results' time of capture. Of a track that goes on, an event
tells of a notable change of score, place or rest, at most once a second, and that it is still there once a minute. A
track ends when it is lost for good, when its source starts a new epoch, and when its source's session ends; its end
time is when it was seen last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from pipeline.messages import FrameResult, Item, SourceStatus, TrackState

EventType = Literal["new", "update", "end"]
Box = tuple[float, float, float, float]  # xyxy, pixels of the source picture

AT_LEAST_NS: Final = 1_000_000_000  # between two events of one track, but for its end
AT_MOST_NS: Final = 60_000_000_000
SCORE_STEP: Final = 0.1
SAME_PLACE_IOU: Final = 0.8  # with the box told of last; below, it has moved
AT_REST_IOU: Final = 0.7  # with where it came to rest: a box that trembles is at rest all the same
AT_REST_NS: Final = 10_000_000_000
SESSION_GOES_ON: Final = ("STREAMING", "STALLED")  # every other state means that a new epoch comes, or none


@dataclass(frozen=True, slots=True)
class TrackSnapshot:
    """A track as it was at one frame."""

    source_id: str
    epoch: int
    track_id: int
    label: str
    score: float
    top_score: float
    box: Box
    width: int  # of the source picture
    height: int
    start_time_ns: int  # wall clock, of the frame it was confirmed at
    frame_time_ns: int  # of the frame it was seen in last
    end_time_ns: int | None = None
    stationary: bool = False
    still_frames: int = 0  # since it came to rest where it is
    moves: int = 0  # times it left a place it was at rest at


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """Something that happened to a track; `number` counts a track's events from 0, so that identity is unique."""

    type: EventType
    before: TrackSnapshot  # as the event before told it; of a new track, the same as `after`
    after: TrackSnapshot
    number: int

    @property
    def identity(self) -> str:
        """``source_id/epoch/track_id/number``: the same event has the same, whoever makes it."""
        return f"{self.after.source_id}/{self.after.epoch}/{self.after.track_id}/{self.number}"


@dataclass(slots=True)
class _Life:
    """A track that goes on."""

    now: TrackSnapshot
    told: TrackSnapshot
    rest_box: Box
    rest_since_ns: int
    events: int = 1


@dataclass(slots=True)
class _Source:
    epoch: int = 0
    highest: int = 0  # ids are given in rising order: one up to here that is not alive has ended
    alive: dict[int, _Life] = field(default_factory=dict)


class TrackEvents:
    """Events of any number of sources, each source's items in order."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def take(self, item: Item) -> list[TrackEvent]:
        """The events that an item brings."""
        if isinstance(item, FrameResult):
            return list(self._result(item))
        if isinstance(item, SourceStatus) and (item.state == "REMOVED" or _is_over(item)):
            return list(self._over(item))
        return []

    def end_all(self) -> list[TrackEvent]:
        """The end of every track there is."""
        return [event for source in self._sources.values() for event in _end(source, set(source.alive))]

    def _result(self, result: FrameResult) -> Iterator[TrackEvent]:
        source = self._sources.setdefault(result.source_id, _Source())
        if result.epoch < source.epoch:
            return
        if result.epoch > source.epoch:
            yield from _end(source, set(source.alive))
            source.epoch, source.highest = result.epoch, 0
        tracks = result.tracks
        states, ids = tracks.states.tolist(), tracks.ids.tolist()
        yield from _end(source, set(source.alive) - set(tracks.ids[tracks.alive].tolist()))
        for row, (track_id, state) in enumerate(zip(ids, states, strict=True)):
            if state != TrackState.CONFIRMED:
                continue
            if track_id in source.alive:
                yield from _went_on(source.alive[track_id], result, row)
            elif track_id > source.highest:
                yield _born(source, result, row, track_id)

    def _over(self, status: SourceStatus) -> Iterator[TrackEvent]:
        source = self._sources.get(status.source_id)
        if source is None:
            return
        yield from _end(source, set(source.alive))
        if status.state == "REMOVED":
            del self._sources[status.source_id]


def _is_over(status: SourceStatus) -> bool:
    """Whether no more comes of the source's session: what it is doing is told before its last results are."""
    return status.state not in SESSION_GOES_ON and status.in_flight == 0


def _born(source: _Source, result: FrameResult, row: int, track_id: int) -> TrackEvent:
    score, box = _seen(result, row)
    first = TrackSnapshot(
        source_id=result.source_id,
        epoch=result.epoch,
        track_id=track_id,
        label=result.class_name(int(result.tracks.labels[row])),
        score=score,
        top_score=score,
        box=box,
        width=result.width,
        height=result.height,
        start_time_ns=result.capture_time_ns,
        frame_time_ns=result.capture_time_ns,
    )
    source.alive[track_id] = _Life(now=first, told=first, rest_box=box, rest_since_ns=result.capture_time_ns)
    source.highest = track_id
    return TrackEvent("new", first, first, 0)


def _went_on(life: _Life, result: FrameResult, row: int) -> Iterator[TrackEvent]:
    score, box = _seen(result, row)
    before, time_ns = life.now, result.capture_time_ns
    moves = before.moves
    if iou(box, life.rest_box) < AT_REST_IOU:
        moves += before.stationary
        life.rest_box, life.rest_since_ns, still_frames = box, time_ns, 0
    else:
        still_frames = before.still_frames + 1
    life.now = replace(
        before,
        score=score,
        top_score=max(before.top_score, score),
        box=box,
        frame_time_ns=time_ns,
        stationary=time_ns - life.rest_since_ns >= AT_REST_NS,
        still_frames=still_frames,
        moves=moves,
    )
    if _worth_telling(life.told, life.now):
        yield _tell(life, "update", life.now)


def _worth_telling(told: TrackSnapshot, now: TrackSnapshot) -> bool:
    since_ns = now.frame_time_ns - told.frame_time_ns
    if since_ns < AT_LEAST_NS:
        return False
    return (
        since_ns >= AT_MOST_NS
        or abs(now.score - told.score) >= SCORE_STEP
        or now.stationary != told.stationary
        or iou(now.box, told.box) < SAME_PLACE_IOU
    )


def _end(source: _Source, track_ids: set[int]) -> Iterator[TrackEvent]:
    for track_id in sorted(track_ids):
        life = source.alive.pop(track_id)
        yield _tell(life, "end", replace(life.now, end_time_ns=life.now.frame_time_ns))


def _tell(life: _Life, event: EventType, after: TrackSnapshot) -> TrackEvent:
    told = TrackEvent(event, life.told, after, life.events)
    life.told, life.events = after, life.events + 1
    return told


def _seen(result: FrameResult, row: int) -> tuple[float, Box]:
    left, top, right, bottom = result.tracks.boxes[row].tolist()
    return float(result.tracks.scores[row]), (left, top, right, bottom)


def iou(one: Box, other: Box) -> float:
    """Overlap of two boxes over their union; 0 where either is empty."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared)
