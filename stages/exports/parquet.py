"""Two Parquet tables: one row an object, and one row a frame, so that frames without objects are known."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.messages import NO_TRACK, FrameResult, Gap, TrackState
from stages.exports.entry import Entry, Job
from stages.exports.parquet_columns import FRAMES, OBJECTS, Column, schema_of
from stages.exports.place import Part, written

GROUP_ROWS: Final = 16_384  # of a row group at most
GROUP_TEXT: Final = 32 * 1024 * 1024  # characters of masks in one
STATES: Final = {int(state): state.name.lower() for state in TrackState}


class Table:
    """A Parquet file that grows by rows; what is not yet a row group is in memory."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        """Raises `SinkError`."""
        self._place, self._columns = Part(path), columns
        self._rows: dict[str, list[Any]] = {column.name: [] for column in columns}
        self._writer: pq.ParquetWriter | None = None
        with written(path):
            self._file: IO[bytes] = self._place.part.open("wb")
        self._text = 0
        self.facts: dict[str, str] = {}

    def add(self, rows: dict[str, list[Any]], *, text: int = 0) -> None:
        """Append rows, a list a column; `text`: how many characters they hold, roughly. Raises `SinkError`."""
        for name, values in rows.items():
            self._rows[name] += values
        self._text += text
        if self._count >= GROUP_ROWS or self._text >= GROUP_TEXT:
            self._flush()

    @property
    def _count(self) -> int:
        return len(self._rows[self._columns[0].name])

    def _flush(self) -> None:
        with written(self._place.path):
            schema = schema_of(self._columns, self.facts) if self._writer is None else self._writer.schema
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._file, schema, compression="zstd", version="2.6")
            if self._count:
                self._writer.write_table(pa.table(self._rows, schema=schema), row_group_size=GROUP_ROWS)
        self._text = 0
        for values in self._rows.values():
            values.clear()

    def finish(self) -> None:
        """The rest, and the table of contents. Raises `SinkError`."""
        self._flush()
        with written(self._place.path):
            if self._writer is not None:
                self._writer.close()
            self._file.close()

    def into_place(self) -> None:
        """Have it appear. Raises `SinkError`."""
        self._place.into_place()

    def abandon(self) -> None:
        """Throw away what is not in place."""
        if self._writer is not None:
            self._writer.is_open = False  # it would write its end when it goes
        with suppress(OSError):  # what it still held does not fit on the disk
            self._file.close()
        self._place.discard()


class ParquetExport:
    """`objects.parquet` and `frames.parquet`."""

    wants_pictures = False

    def __init__(self, job: Job) -> None:
        """Raises `SinkError`."""
        self._job = job
        self._objects = Table(job.folder / "objects.parquet", OBJECTS)
        self._frames = Table(job.folder / "frames.parquet", FRAMES)
        self._tables = (self._frames, self._objects)

    def add(self, entry: Entry) -> None:
        """One frame, or those of a gap. Raises `SinkError`."""
        if isinstance(entry.item, Gap):
            self._add_gap(entry.item, entry.number)
            return
        result = entry.item
        if not self._objects.facts:
            for table in self._tables:
                table.facts = _facts(result)
        objects = len(result.detections)
        common = _frame(result, entry.number)
        rows = {name: [value] * objects for name, value in common.items()} | _objects(entry, result)
        self._objects.add(rows, text=sum(len(mask) for mask in rows["mask"] if mask is not None))
        confirmed = result.tracks.states == TrackState.CONFIRMED
        own = {
            "gap": None,
            "discontinuity": result.discontinuity,
            "objects": objects,
            "tracks": int(np.count_nonzero(confirmed & (result.tracks.detection_index >= 0))),
            "masks": result.panoptic is not None,
        }
        self._frames.add({name: [value] for name, value in (common | own).items()})

    def _add_gap(self, gap: Gap, number: int) -> None:
        for first in range(0, gap.count, GROUP_ROWS):
            self._job.check()
            count = min(GROUP_ROWS, gap.count - first)
            rows: dict[str, list[Any]] = {column.name: [None] * count for column in FRAMES}
            rows |= {"source_id": [gap.source_id] * count, "epoch": [gap.epoch] * count, "gap": [gap.reason] * count}
            rows["seq"] = [*range(gap.first_seq + first, gap.first_seq + first + count)]
            rows["frame"] = [*range(number + first, number + first + count)]
            rows |= {"objects": [0] * count, "tracks": [0] * count, "masks": [False] * count}
            self._frames.add(rows)

    def finish(self) -> None:
        """Both tables into place. Raises `SinkError`."""
        for table in self._tables:
            table.finish()
        for table in self._tables:
            table.into_place()

    def abandon(self) -> None:
        """Throw away what is not in place."""
        for table in self._tables:
            table.abandon()


def _facts(result: FrameResult) -> dict[str, str]:
    """What holds for the whole recording."""
    return {
        "everyframe.model": f"{result.model.name} {result.model.version}".strip(),
        "everyframe.things": msgspec.json.encode(result.classes.things).decode(),
        "everyframe.stuff": msgspec.json.encode(result.classes.stuff).decode(),
    }


def _frame(result: FrameResult, number: int) -> dict[str, Any]:
    return {
        "source_id": result.source_id,
        "epoch": result.epoch,
        "seq": result.seq,
        "frame": number,
        "pts_seconds": result.pts_seconds,
        "capture_time": result.capture_time_ns,
        "width": result.width,
        "height": result.height,
        "analysed": result.analysed,
    }


def _objects(entry: Entry, result: FrameResult) -> dict[str, list[Any]]:
    found, tracks = result.detections, result.tracks
    states = dict(zip(tracks.ids.tolist(), tracks.states.tolist(), strict=True))
    ids = [None if track == NO_TRACK else track for track in result.track_ids.tolist()]
    masks = [entry.masks.get(segment) for segment in entry.segment_of_detection.tolist()]
    labels = found.labels.tolist()
    return {
        "object": [*range(len(found))],
        "track_id": ids,
        "track_state": [STATES.get(states.get(track, -1)) for track in result.track_ids.tolist()],
        "label": labels,
        "class_name": [result.class_name(label) for label in labels],
        "score": found.scores.tolist(),
        "raw_score": found.raw_scores.tolist(),
        **{name: found.boxes[:, column].tolist() for column, name in enumerate(("x1", "y1", "x2", "y2"))},
        "mask_area": [None if mask is None else mask.area for mask in masks],
        "mask": [None if mask is None else mask.counts for mask in masks],
    }
