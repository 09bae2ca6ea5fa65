"""What COCO's two schemas share: images, categories, and a JSON file that is written as it grows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from pipeline.messages import Classes, FrameResult
from stages.exports.entry import Entry, utc_of
from stages.exports.place import Part, written

_ENCODER: Final = msgspec.json.Encoder()


class AnnotationFile:
    """``{"info", "images", "annotations", "categories"}``; rows go to the disk as they come. Raises `SinkError`."""

    def __init__(self, path: Path) -> None:
        self._place = Part(path)
        self._counts = {"images": 0, "annotations": 0}
        self._classes: Classes | None = None
        with written(path):
            self._file: IO[bytes] = self._place.part.open("wb")
            # The second list waits beside, in a file without a name that goes with the process.
            self._annotations: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed by `abandon`

    def add_image(self, row: Mapping[str, Any]) -> None:
        """Append to `images`."""
        self._add("images", self._file, row)

    def add_annotation(self, row: Mapping[str, Any]) -> None:
        """Append to `annotations`."""
        self._add("annotations", self._annotations, row)

    def _add(self, name: str, file: IO[bytes], row: Mapping[str, Any]) -> None:
        with written(self._place.path):
            file.write((b",\n" if self._counts[name] else b"\n") + _ENCODER.encode(row))
        self._counts[name] += 1

    def hear(self, result: FrameResult) -> None:
        """Take in each result before its rows: the first tells what comes before and after the lists."""
        if self._classes is None:
            self._classes = result.classes
            self._begin(result)

    def _begin(self, first: FrameResult | None) -> None:
        with written(self._place.path):
            self._file.write(b'{"info":' + _ENCODER.encode(info_of(first)) + b',\n"images":[')

    def finish(self) -> None:
        """What comes after the lists, and the file into its place."""
        if self._classes is None:
            self._begin(None)
        categories = categories_of(self._classes)
        with written(self._place.path):
            self._file.write(b'],\n"annotations":[')
            self._annotations.seek(0)
            shutil.copyfileobj(self._annotations, self._file)
            self._file.write(b'],\n"categories":' + _ENCODER.encode(categories) + b"}\n")
            self._file.close()
            self._annotations.close()
        self._place.into_place()

    def abandon(self) -> None:
        """Throw away what is not in place."""
        for file in (self._file, self._annotations):
            with suppress(OSError):  # what it still held does not fit on the disk
                file.close()
        self._place.discard()


def info_of(result: FrameResult | None) -> dict[str, Any]:
    """`info` of a file: what made it, from what."""
    if result is None:
        return {"description": "everyframe: no result"}
    model = f"{result.model.name} {result.model.version}".strip()
    return {"description": f"everyframe: {result.source_id} by {model}", "version": "1"}


def image_of(entry: Entry, result: FrameResult, *, suffix: str) -> dict[str, Any]:
    """A row of `images`; its id is the frame's number in the recording, from 1."""
    row: dict[str, Any] = {
        "id": entry.number + 1,
        "file_name": file_name(entry, suffix),
        "width": result.width,
        "height": result.height,
        "frame_number": entry.number,
        "epoch": result.epoch,
        "seq": result.seq,
        "analysed": result.analysed,
    }
    moment = utc_of(result.capture_time_ns)
    if moment is not None:
        row["date_captured"] = moment.isoformat()
    if result.pts_seconds is not None:
        row["pts_seconds"] = result.pts_seconds
    return row


def file_name(entry: Entry, suffix: str) -> str:
    """As `ffmpeg -start_number 0 %09d.jpg` names the frames of a recording without gaps."""
    return f"{entry.number:09d}{suffix}"


def categories_of(classes: Classes | None) -> list[dict[str, Any]]:
    """`categories`: ids are labels + 1, as of every export and of `FrameResult.to_coco`."""
    if classes is None:
        return []
    return [
        {
            "id": label + 1,
            "name": name,
            "supercategory": "thing" if classes.is_thing(label) else "stuff",
            "isthing": int(classes.is_thing(label)),
        }
        for label, name in enumerate(classes.names)
    ]
