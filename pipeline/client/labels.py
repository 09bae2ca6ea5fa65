"""Of a result only what belongs to some classes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError
from pipeline.messages import FrameResult, Int32, PanopticMap, Polygons, Segments


def check_labels(labels: Collection[str], known: Collection[str]) -> None:
    """Raises `UsageError` for a class that the model does not have: nothing of it would ever come."""
    for label in labels:
        if label not in known:
            raise UsageError(f"label {label!r} is unknown to the model; {', '.join(known) or 'it knows none'}")


def of_labels(result: FrameResult, labels: Collection[str]) -> FrameResult:
    """The result with only detections, tracks and segments of these classes; rows that point at rows still do.

    Raises `UsageError` for a class that the model does not have.
    """
    names = result.classes.names
    check_labels(labels, names)
    wanted = np.array([name in labels for name in names], dtype=bool)
    kept = wanted[result.detections.labels]
    rows = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1).astype(np.int32)  # the last is that of row -1
    tracks = result.tracks[wanted[result.tracks.labels]]
    return replace(
        result,
        detections=result.detections[kept],
        track_ids=result.track_ids[kept],
        tracks=replace(tracks, detection_index=rows[tracks.detection_index]),
        panoptic=None if result.panoptic is None else _map(result.panoptic, wanted, rows),
        polygons=None if result.polygons is None else _polygons(result.polygons, wanted, rows),
    )


def _segments(segments: Segments, wanted: npt.NDArray[np.bool_], rows: Int32) -> Segments:
    kept = segments[wanted[segments.labels]]
    return replace(kept, detection_index=rows[kept.detection_index])


def _map(panoptic: PanopticMap, wanted: npt.NDArray[np.bool_], rows: Int32) -> PanopticMap:
    segments = _segments(panoptic.segments, wanted, rows)
    stays = np.zeros(2**16, dtype=np.uint16)
    stays[segments.ids] = segments.ids
    return replace(panoptic, ids=stays[panoptic.ids], segments=segments)


def _polygons(polygons: Polygons, wanted: npt.NDArray[np.bool_], rows: Int32) -> Polygons:
    segments = _segments(polygons.segments, wanted, rows)
    kept = np.isin(polygons.ids, segments.ids)
    points = polygons.points[np.repeat(kept, polygons.counts)]
    return replace(polygons, segments=segments, ids=polygons.ids[kept], counts=polygons.counts[kept], points=points)
