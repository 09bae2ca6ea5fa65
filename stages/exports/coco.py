"""COCO instances: every object of every frame, with its mask as run lengths where it has one."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.messages import FrameResult
from stages.exports.annotations import AnnotationFile, image_of
from stages.exports.entry import Entry, Job, Mask


class CocoExport:
    """`coco.json`."""

    wants_pictures = False

    def __init__(self, job: Job) -> None:
        """Raises `SinkError`."""
        self._file = AnnotationFile(job.folder / "coco.json")
        self._count = 0

    def add(self, entry: Entry) -> None:
        """An image and its annotations; a gap is none. Raises `SinkError`."""
        result = entry.result
        if result is None:
            return
        self._file.hear(result)
        self._file.add_image(image_of(entry, result, suffix=".jpg"))
        for row in _rows(entry, result):
            self._count += 1
            self._file.add_annotation({"id": self._count, "image_id": entry.number + 1, **row})

    def finish(self) -> None:
        """The file into its place. Raises `SinkError`."""
        self._file.finish()

    def abandon(self) -> None:
        """Throw away what is not in place."""
        self._file.abandon()


def _rows(entry: Entry, result: FrameResult) -> list[dict[str, Any]]:
    """An annotation for each detection with a box."""
    found = result.detections
    size = [result.height, result.width]
    whole = np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.scores)
    rows = zip(
        found.boxes.tolist(),
        found.labels.tolist(),
        found.scores.tolist(),
        result.track_ids.tolist(),
        entry.segment_of_detection.tolist(),
        whole.tolist(),
        strict=True,
    )
    return [
        _row(box, label, score, entry.track_number(track), entry.masks.get(segment), size)
        for box, label, score, track, segment, usable in rows
        if usable
    ]


def _row(
    box: list[float], label: int, score: float, track: int | None, mask: Mask | None, size: list[int]
) -> dict[str, Any]:
    left, top, right, bottom = (round(edge, 2) for edge in box)
    width, height = round(right - left, 2), round(bottom - top, 2)
    row: dict[str, Any] = {
        "category_id": label + 1,
        "bbox": [left, top, width, height],
        "area": round(width * height, 2) if mask is None else mask.area,
        "iscrowd": 0,
        "score": round(score, 4),
    }
    if track is not None:
        row["track_id"] = track
    if mask is not None:
        row["segmentation"] = {"size": size, "counts": mask.counts}
    return row
