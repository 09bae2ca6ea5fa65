"""What arrives, a line each, for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from pipeline.messages import FrameResult, Gap, Item, Picture, SourceStatus, TrackState, ZoneEvent

ROW: Final = "{source:<16} {frame:>10}  {time:<12}  {what}"
HEAD: Final = ROW.format(source="source", frame="frame", time="time", what="what")
NO_TIME: Final = "-"


def table_line(item: Item) -> str:
    """One line for a result, a gap or a status. A frame is shown as epoch/seq."""
    if isinstance(item, FrameResult):
        return ROW.format(
            source=item.source_id, frame=f"{item.epoch}/{item.seq}", time=frame_time(item), what=_what(item)
        ).rstrip()
    if isinstance(item, Gap):
        lost = f"gap: {item.count} frame{'s' if item.count > 1 else ''} lost up to {item.last_seq}: {item.reason}"
        return ROW.format(source=item.source_id, frame=f"{item.epoch}/{item.first_seq}", time=NO_TIME, what=lost)
    if isinstance(item, Picture):
        told = f"picture {item.jpeg_width}x{item.jpeg_height}, {len(item.jpeg) / 1000:.1f} kB"
        return ROW.format(source=item.source_id, frame=f"{item.epoch}/{item.seq}", time=frame_time(item), what=told)
    if isinstance(item, ZoneEvent):
        return ROW.format(
            source=item.source_id, frame=f"{item.epoch}/{item.seq}", time=_time_of_day(item.time_ns), what=_event(item)
        )
    return ROW.format(source=item.source_id, frame=f"{item.epoch}/", time=NO_TIME, what=_status(item))


def frame_time(result: FrameResult | Picture) -> str:
    """Of a camera the time of day (UTC), of a recording the position in it."""
    if result.clock in ("rtcp", "host"):
        return _time_of_day(result.capture_time_ns)
    if result.pts is None:
        return NO_TIME
    minutes, seconds = divmod(float(result.pts * result.time_base), 60)
    return f"{int(minutes):02d}:{seconds:06.3f}"


def _time_of_day(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, tz=UTC):%H:%M:%S.%f}"[:-3]


def _event(event: ZoneEvent) -> str:
    who = f"{event.class_name} {event.track_id}"
    if event.type == "line_crossed":
        return f"{who} crossed {event.place}: {event.direction}"
    if event.type == "zone_entered":
        return f"{who} entered {event.place}"
    if event.type == "zone_left" and event.dwell_seconds is not None:
        return f"{who} left {event.place} after {event.dwell_seconds:.1f} s"
    return f"{event.occupancy} in {event.place}" if event.occupancy is not None else f"{event.type} {event.place}"


def _what(result: FrameResult) -> str:
    parts = [", ".join(_tracks(result)) or ", ".join(_detections(result))]
    if result.gap_before:
        parts.append(f"after {result.gap_before} lost")
    if result.panoptic is not None:
        panoptic = result.panoptic
        parts.append(f"{len(panoptic.segments)} segments in {panoptic.width}x{panoptic.height}")
    if result.polygons is not None:
        parts.append(f"{len(result.polygons.segments)} segments in {len(result.polygons.points)} points")
    if not result.analysed:
        parts.append("predicted")
    return "; ".join(part for part in parts if part)


def _tracks(result: FrameResult) -> Iterator[str]:
    tracks = result.tracks[result.tracks.alive]
    for number, label, score, state in zip(
        tracks.ids.tolist(), tracks.labels.tolist(), tracks.scores.tolist(), tracks.states.tolist(), strict=True
    ):
        yield f"{result.class_name(label)} {number} {'lost' if state == TrackState.LOST else f'{score:.2f}'}"


def _detections(result: FrameResult) -> Iterator[str]:
    found = result.detections
    for label, score in zip(found.labels.tolist(), found.scores.tolist(), strict=True):
        yield f"{result.class_name(label)} {score:.2f}"


def _status(status: SourceStatus) -> str:
    told = f"{status.state}, {status.resulted} results, {sum(status.dropped.values())} dropped"
    if status.damaged:
        told += f", {status.damaged} damaged"
    if status.latency is not None:
        told += f", p95 {status.latency.p95_ms:.0f} ms"
    return f"{told}: {status.message}" if status.message else told
