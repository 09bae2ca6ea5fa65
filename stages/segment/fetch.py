"""Panoptic maps of a batch from the device to the host: tables and runs, in one copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.messages import NO_TRACK, Classes, Detections, PanopticMap, PanopticRuns, Segments, Transform
from stages.segment.batched import Merged
from stages.segment.run_lengths import runs_of

RUNS_A_ROW = 16  # room for so many runs a row of a map, on average over a batch; street scenes have three to eight

_COLUMNS = 8  # of a table, once packed: label, score, index, area, and the sides of the box


@dataclass(frozen=True, slots=True)
class Shape:
    """What a packed batch holds: B maps [height, width], tables of S rows, room for so many runs."""

    frames: int
    height: int
    width: int
    segments: int
    runs: int

    @property
    def size(self) -> int:
        """How many int32 that is."""
        return self.frames * (1 + _COLUMNS * self.segments) + self.frames + 1 + 2 * self.runs


def pack(merged: Merged, *, runs_a_row: int = RUNS_A_ROW) -> tuple[Tensor, Shape]:
    """All that the host needs as one int32 [shape.size] on the device; nothing is waited for.

    Copy it to pinned memory on the stream that made it, and give the copy to `unpack` once that has passed.
    """
    frames, height, width = merged.ids.shape
    capacity = min(frames * height * runs_a_row, frames * height * width)
    runs = runs_of(merged.ids, capacity=capacity)
    table = torch.cat(
        [
            merged.labels.int()[..., None],
            merged.scores.view(torch.int32)[..., None],
            merged.index.int()[..., None],
            merged.areas.int()[..., None],
            merged.boxes.int(),
        ],
        dim=2,
    )
    parts = [merged.counts.int(), table.flatten(), runs.offsets.int(), runs.lengths, runs.values]
    return torch.cat(parts), Shape(frames, height, width, merged.labels.shape[1], capacity)


def unpack(
    packed: npt.NDArray[np.int32],  # [shape.size] on the host
    shape: Shape,
    *,
    classes: Classes,
    transforms: Sequence[Transform],  # of each frame, from pixels of its map to source pixels
) -> list[PanopticRuns] | None:
    """The maps and tables of a batch; None where its maps had more runs than there was room for: pack it with more."""
    counts, table, offsets, runs = np.split(packed, np.cumsum(_sizes(shape))[:-1])
    if offsets[-1] > shape.runs:
        return None
    rows = table.reshape(shape.frames, shape.segments, _COLUMNS)
    lengths, values = runs[: shape.runs], runs[shape.runs :]
    maps = []
    for frame, transform in enumerate(transforms):
        of_frame = slice(offsets[frame], offsets[frame + 1])
        maps.append(
            PanopticRuns(
                lengths[of_frame].astype(np.uint32),
                values[of_frame].astype(np.uint16),
                width=shape.width,
                height=shape.height,
                segments=_segments(rows[frame, : counts[frame]], classes, transform),
                transform=transform,
            )
        )
    return maps


def things_of(panoptic: PanopticMap) -> Detections:
    """The things of a map as detections, for networks that give nothing else: row i is the thing whose index is i."""
    table = panoptic.segments
    things = table.is_thing
    return Detections.of(table.boxes[things], table.scores[things], table.labels[things])


def _sizes(shape: Shape) -> list[int]:
    return [shape.frames, shape.frames * shape.segments * _COLUMNS, shape.frames + 1, 2 * shape.runs]


def _segments(rows: npt.NDArray[np.int32], classes: Classes, transform: Transform) -> Segments:
    labels, scores, index, areas = (np.ascontiguousarray(rows[:, column]) for column in range(4))
    count = len(rows)
    identities: npt.NDArray[Any] = np.arange(1, count + 1, dtype=np.int32)
    return Segments(
        ids=identities,
        labels=labels,
        is_thing=labels < len(classes.things),
        scores=scores.view(np.float32),
        areas=areas,
        boxes=transform.apply(rows[:, 4:].astype(np.float32)),
        detection_index=index,
        track_ids=np.full(count, NO_TRACK, dtype=np.int64),
    )
