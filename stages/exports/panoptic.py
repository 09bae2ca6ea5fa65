"""COCO panoptic: a PNG a frame whose colours are segment ids, and the table of the segments."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipeline.messages import PanopticMap, UInt8
from stages.exports.annotations import AnnotationFile, file_name, image_of
from stages.exports.entry import Entry, Job
from stages.exports.place import Part, written

# Run-length strategy, lowest level: large even areas leave nothing for a search to find.
PNG: Final = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


class PanopticExport:
    """`panoptic.json` and the pictures of `panoptic/`. A frame without a map is not among them."""

    wants_pictures = False

    def __init__(self, job: Job) -> None:
        """Raises `SinkError`."""
        self._file = AnnotationFile(job.folder / "panoptic.json")
        self._folder = Part(job.folder / "panoptic")
        with written(self._folder.path):
            self._folder.part.mkdir()
        self._check = job.check

    def add(self, entry: Entry) -> None:
        """An image, its annotation and its PNG. Raises `SinkError`."""
        result = entry.result
        if result is None:
            return
        self._file.hear(result)
        if result.panoptic is None:
            return
        name = file_name(entry, ".png")
        with written(self._folder.path):
            (self._folder.part / name).write_bytes(_png(entry.ids))
        self._file.add_image(image_of(entry, result, suffix=".jpg"))
        segments = _segments(entry, result.panoptic)
        self._file.add_annotation({"image_id": entry.number + 1, "file_name": name, "segments_info": segments})

    def finish(self) -> None:
        """Folder and file into their places. Raises `SinkError`."""
        self._folder.into_place(check=self._check)
        self._file.finish()

    def abandon(self) -> None:
        """Throw away what is not in place."""
        self._file.abandon()
        self._folder.discard()


def _png(ids: npt.NDArray[np.uint16]) -> bytes:
    """An id map [h, w] as a picture: id = R + 256 G + 65536 B."""
    picture: UInt8 = np.zeros((*ids.shape, 3), dtype=np.uint8)  # OpenCV has blue first
    picture[..., 2] = ids & 0xFF
    picture[..., 1] = ids >> 8
    done, data = cv2.imencode(".png", picture, PNG)
    assert done  # in memory, of a size that was decoded
    return np.asarray(data).tobytes()


def _segments(entry: Entry, panoptic: PanopticMap) -> list[dict[str, Any]]:
    """The segments that have a pixel in the picture; areas and boxes are counted in it."""
    table, ids = panoptic.segments, entry.ids
    areas = np.bincount(ids.reshape(-1), minlength=2**16)
    boxes = ndimage.find_objects(ids.astype(np.int32))
    rows = zip(
        table.ids.tolist(),
        table.labels.tolist(),
        table.is_thing.tolist(),
        table.scores.tolist(),
        table.track_ids.tolist(),
        strict=True,
    )
    segments = []
    for id_, label, is_thing, score, track in rows:
        if not areas[id_]:  # smaller than a pixel of the map may come to nothing in a picture that is smaller still
            continue
        down, across = boxes[id_ - 1]
        box = [across.start, down.start, across.stop - across.start, down.stop - down.start]
        row = {"id": id_, "category_id": label + 1, "area": int(areas[id_]), "bbox": box, "iscrowd": 0}
        number = entry.track_number(track)
        row |= {"score": round(score, 4)} if is_thing and np.isfinite(score) else {}
        segments.append(row if number is None else row | {"track_id": number})
    return segments
