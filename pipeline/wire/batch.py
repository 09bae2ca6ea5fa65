"""The results of a batch as bytes: what `encode_result` makes of each, from the columns of all frames at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import NO_TRACK, BatchResults, FrameResult, PanopticMap
from pipeline.wire.columns import pack_column
from pipeline.wire.result import classes_bytes, encode_result, pack_panoptic
from pipeline.wire.schema import (
    DetectionTable,
    ModelPart,
    PanopticPart,
    ResultRecord,
    SegmentTable,
    TimingsPart,
    TrackTable,
    pack,
)


def encode_results(results: Sequence[FrameResult]) -> list[bytes]:
    """The payloads of kind `all`, in order. Raises `ValueError` as `encode_result` does."""
    if not isinstance(results, BatchResults):
        return [encode_result(result, "all") for result in results]
    return [pack(record) for record in _records(results)]


class _Column:
    """A column of a block as bytes, cut frame by frame."""

    __slots__ = ("_data", "_width")

    def __init__(self, values: npt.NDArray[Any], dtype: str) -> None:
        self._data = pack_column(values, dtype)
        self._width = len(self._data) // len(values) if len(values) else 0

    def __getitem__(self, rows: tuple[int, int]) -> memoryview:
        return self._data[rows[0] * self._width : rows[1] * self._width]


class _Panoptic:
    """The maps of a batch, each as it is coded; their segment tables as columns of all of them."""

    def __init__(self, results: BatchResults) -> None:
        self._maps = results.batch.panoptic or ()
        there = [(i, one.segments) for i, one in enumerate(self._maps) if one is not None]
        self._first = np.cumsum([0, *(0 if one is None else len(one.segments) for one in self._maps)]).tolist()
        tables = [segments for _, segments in there]

        def joined(name: str, dtype: str) -> _Column:
            columns = [getattr(segments, name) for segments in tables]
            return _Column(np.concatenate(columns) if columns else np.zeros(0), dtype)

        self._id, self._label, self._area = (joined(name, "<i4") for name in ("ids", "labels", "areas"))
        self._is_thing, self._score, self._box = (
            joined(name, dtype) for name, dtype in (("is_thing", "|u1"), ("scores", "<f4"), ("boxes", "<f4"))
        )
        self._index = joined("detection_index", "<i4")
        self._track_id = _Column(_tracks_of([(i, one.detection_index) for i, one in there], results), "<i8")

    def part(self, i: int) -> PanopticPart | None:
        """Of a frame; None where it has no map. Raises `ValueError` if a map holds an id that its table lacks."""
        panoptic: PanopticMap | None = self._maps[i] if self._maps else None
        if panoptic is None:
            return None
        rows = self._first[i], self._first[i + 1]
        table = SegmentTable(
            count=rows[1] - rows[0],
            id=self._id[rows],
            label=self._label[rows],
            is_thing=self._is_thing[rows],
            score=self._score[rows],
            area=self._area[rows],
            box=self._box[rows],
            track_id=self._track_id[rows],
            detection_index=self._index[rows],
        )
        return pack_panoptic(panoptic, table)


def _tracks_of(pointing: Sequence[tuple[int, npt.NDArray[np.int32]]], results: BatchResults) -> npt.NDArray[np.int64]:
    """The track of the detection that each segment points at, of all frames; NO_TRACK for stuff."""
    bounds = results.detections.bounds
    rows = [np.where(index < 0, -1, index + bounds[i]) for i, index in pointing]
    padded = np.append(results.track_ids, NO_TRACK)  # row -1, stuff, finds NO_TRACK
    found: npt.NDArray[np.int64] = padded[np.concatenate(rows)] if rows else padded[:0]
    return found


def _records(results: BatchResults) -> list[ResultRecord]:
    batch, found, tracks = results.batch, results.detections, results.tracks
    box, label = _Column(found.boxes, "<f4"), _Column(found.labels, "<i4")
    score, raw_score = _Column(found.scores, "<f4"), _Column(found.raw_scores, "<f4")
    track_id = _Column(results.track_ids, "<i8")
    ids, boxes, labels = _Column(tracks.ids, "<i8"), _Column(tracks.boxes, "<f4"), _Column(tracks.labels, "<i4")
    scores, states = _Column(tracks.scores, "<f4"), _Column(tracks.states, "|u1")
    index = _Column(tracks.detection_index, "<i4")
    classes, model = classes_bytes(results.classes), ModelPart(name=results.model.name, version=results.model.version)
    bounds, track_bounds = found.bounds.tolist(), tracks.bounds.tolist()
    timings, panoptic = _timings_parts(results), _Panoptic(results)
    records = []
    for i, frame in enumerate(batch.frames):
        rows, track_rows = (bounds[i], bounds[i + 1]), (track_bounds[i], track_bounds[i + 1])
        records.append(
            ResultRecord(
                kind="all",
                source_id=frame.source_id,
                epoch=frame.epoch,
                seq=frame.seq,
                pts=frame.pts,
                time_base=(frame.time_base.numerator, frame.time_base.denominator),
                capture_time_ns=frame.capture_time_ns,
                clock=frame.clock,
                width=frame.width,
                height=frame.height,
                analysed=batch.analysed[i] if batch.analysed else True,
                discontinuity=frame.discontinuity,
                classes=classes,
                model=model,
                detections=DetectionTable(
                    count=rows[1] - rows[0],
                    box=box[rows],
                    label=label[rows],
                    score=score[rows],
                    raw_score=raw_score[rows],
                    track_id=track_id[rows],
                ),
                tracks=TrackTable(
                    count=track_rows[1] - track_rows[0],
                    id=ids[track_rows],
                    box=boxes[track_rows],
                    label=labels[track_rows],
                    score=scores[track_rows],
                    state=states[track_rows],
                    detection_index=index[track_rows],
                ),
                panoptic=panoptic.part(i),
                timings=timings[i],
            )
        )
    return records


def _timings_parts(results: BatchResults) -> list[TimingsPart] | list[None]:
    """Of each frame; what all stages took is the same for all."""
    if results.timings is None:
        return [None] * len(results)
    stage_ms = {stage: float(value) for stage, value in results.timings[0].stage_ms.items()} if results.timings else {}
    return [
        TimingsPart(batch_size=t.batch_size, wait_ms=float(t.wait_ms), stage_ms=stage_ms, latency_ms=t.latency_ms)
        for t in results.timings
    ]
