"""Panoptic maps of what networks gave, on the device that ran them; only tables and runs come to the host.

A batch may hold sources of several shapes, whose pictures fill different parts of a network's maps: those of one shape
are merged together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.messages import Classes, Frame, PanopticMap, Transform
from pipeline.stage import Field
from stages.detect.on_device import BoxReader, KeptBoxes, block_of
from stages.models.device_backend import Looked
from stages.models.packing import packed
from stages.models.preprocess import InputSpec, Placement, map_geometry
from stages.on_device import Found, Reading
from stages.segment import batched
from stages.segment.batched import Merged
from stages.segment.batched_masks import box_masks, label_pixels, pasted_masks
from stages.segment.box_masks import LONGEST_SIDE
from stages.segment.fetch import RUNS_A_ROW, Shape, pack, things_of, unpack
from stages.segment.merge import channel_labels
from stages.segment.merge_kernels import VOID
from stages.segment.queries import cut_to


class MapSpot(NamedTuple):
    """Where a frame's map lies in a network's maps: the part that shows the picture."""

    height: int
    width: int
    transform: Transform  # from pixels of the map to source pixels


class Maps:
    """Merges a batch, those of one size together, and has their runs fetched with a table each."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self._runs_a_row = RUNS_A_ROW

    def __call__(self, spots: Sequence[MapSpot], merge: Callable[[Rows, MapSpot], Merged]) -> MapReading:
        """`merge` is given the frames of one size at a time."""
        groups: dict[tuple[int, int], list[int]] = {}
        for row, spot in enumerate(spots):
            groups.setdefault((spot.height, spot.width), []).append(row)
        tensors: dict[str, Tensor] = {}
        held: list[tuple[str, list[int], Shape]] = []
        for rows in groups.values():
            name = f"maps {rows[0]}"
            tensors[name], shape = pack(
                merge(Rows(tuple(rows), len(spots)), spots[rows[0]]), runs_a_row=self._runs_a_row
            )
            held.append((name, rows, shape))
        return MapReading(tensors, held, [spot.transform for spot in spots], self)

    def more_room(self) -> None:
        """From here on, for twice as many runs."""
        self._runs_a_row *= 2


class Rows(NamedTuple):
    """Some of the rows of a batch."""

    rows: tuple[int, ...]
    of: int

    def __call__(self, values: Tensor) -> Tensor:
        """Those of values [B, ...]; all of them without a copy."""
        if len(self.rows) == self.of:
            return values
        return torch.cat([values[row : row + 1] for row in self.rows])


@dataclass(frozen=True, slots=True, eq=False)
class MapReading:
    """Merged maps of a batch on the device, in groups of one size."""

    tensors: dict[str, Tensor]
    groups: list[tuple[str, list[int], Shape]]
    transforms: list[Transform]
    maps: Maps

    def unpack(self, arrays: Mapping[str, npt.NDArray[Any]]) -> list[PanopticMap] | None:
        """The maps in the order of the batch; None where there were more runs than room."""
        found: list[PanopticMap | None] = [None] * len(self.transforms)
        for name, rows, shape in self.groups:
            transforms = [self.transforms[row] for row in rows]
            of_group = unpack(arrays[name], shape, classes=self.maps.classes, transforms=transforms)
            if of_group is None:
                self.maps.more_room()
                return None
            for row, one in zip(rows, of_group, strict=True):
                found[row] = one
        return [one for one in found if one is not None]


class Queries:
    """Mask classification (rule c): ``masks`` [B, Q, h, w] and ``classes`` [B, Q, C + 1], as `PanopticQueries`."""

    adds: frozenset[Field] = frozenset({"detections", "panoptic"})

    def __init__(self, picture: InputSpec, classes: Classes, *, score_threshold: float) -> None:
        self._picture, self._threshold = picture, score_threshold
        self._maps = Maps(classes)

    def __call__(self, found: Looked, beside: Looked | None, frames: Sequence[Frame]) -> Reading:
        masks, chances = found.outputs["masks"], found.outputs["classes"]
        spots = _spots(masks, self._picture, found.placements)

        def merge(rows: Rows, spot: MapSpot) -> Merged:
            return batched.merge_queries(
                rows(masks)[:, :, : spot.height, : spot.width],
                rows(chances),
                classes=self._maps.classes,
                score_threshold=self._threshold,
            )

        made = self._maps(spots, merge)
        whole = packed(made.tensors)

        def unpacked(fetched: npt.NDArray[np.int32]) -> Found | None:
            maps = made.unpack(whole.taken_apart(fetched))
            if maps is None:
                return None
            return Found([cut_to(frame, things_of(one)) for one, frame in zip(maps, frames, strict=True)], maps)

        return Reading(whole.values, unpacked)


class Boxes:
    """Boxes alone."""

    adds: frozenset[Field] = frozenset({"detections"})

    def __init__(self, boxes: BoxReader) -> None:
        self._boxes = boxes

    def __call__(self, found: Looked, beside: Looked | None, frames: Sequence[Frame]) -> Reading:
        whole = packed(self._boxes(found, frames).tensors())
        return Reading(whole.values, lambda fetched: Found(block_of(whole.taken_apart(fetched))))


class BoxesWithMaps:
    """Boxes and panoptic maps: of the masks that the detector gives for its boxes (rule a), else of the boxes (rule b).

    With a semantic network beside, maps are of its size and have its stuff; without one they have things alone.
    """

    adds: frozenset[Field] = frozenset({"detections", "panoptic"})

    def __init__(
        self,
        boxes: BoxReader,
        classes: Classes,
        *,
        beside: InputSpec | None,
        semantic_labels: Sequence[int | None] | None,
    ) -> None:
        """`beside`: the picture of the semantic network."""
        self._boxes, self._beside = boxes, beside
        self._labels = None if semantic_labels is None else channel_labels(semantic_labels, classes).tolist()
        self._maps = Maps(classes)

    def __call__(self, found: Looked, beside: Looked | None, frames: Sequence[Frame]) -> Reading:
        kept = self._boxes(found, frames)
        logits = None if beside is None else beside.here()["logits"]
        if beside is not None and logits is not None and self._beside is not None:
            spots = _spots(logits, self._beside, beside.placements)
        else:
            spots = [_spot_of(frame) for frame in frames]
        frame_transforms = torch.stack([_uploaded(spot.transform, kept.boxes.device) for spot in spots])  # [B, 4]
        placed = (kept.boxes - frame_transforms[:, None, 2:].repeat(1, 1, 2)) / frame_transforms[:, None, :2].repeat(
            1, 1, 2
        )
        masks = found.outputs.get("masks")
        if masks is not None:
            masks = masks.gather(1, kept.rows[..., None].expand(-1, -1, masks.shape[2]))

        def merge(rows: Rows, spot: MapSpot) -> Merged:
            return self._merged(rows, spot, kept, placed, logits, masks)

        made = self._maps(spots, merge)
        whole = packed({**kept.tensors(), **made.tensors})

        def unpacked(fetched: npt.NDArray[np.int32]) -> Found | None:
            arrays = whole.taken_apart(fetched)
            maps = made.unpack(arrays)
            return None if maps is None else Found(block_of(arrays), maps)

        return Reading(whole.values, unpacked)

    def _merged(
        self,
        rows: Rows,
        spot: MapSpot,
        kept: KeptBoxes,
        placed: Tensor,
        logits: Tensor | None,
        masks: Tensor | None,
    ) -> Merged:
        boxes, labels = rows(placed), rows(kept.labels)
        if logits is not None and self._labels is not None:
            label_at = label_pixels(rows(logits)[:, :, : spot.height, : spot.width], self._labels)
        else:
            shape = (len(boxes), spot.height, spot.width)
            label_at = torch.full(shape, VOID, dtype=torch.int64, device=boxes.device)
        if masks is None:
            instances = box_masks(label_at, boxes, labels)
        else:
            side = round(masks.shape[2] ** 0.5)
            squares = rows(masks).view(len(boxes), -1, side, side)
            instances = pasted_masks(squares, boxes, height=spot.height, width=spot.width)
        return batched.merge_masks(instances, rows(kept.scores), labels, label_at, classes=self._maps.classes)


def _spots(maps: Tensor, picture: InputSpec, placements: Sequence[Placement]) -> list[MapSpot]:
    """Of maps [B, C, h, w]."""
    spots = []
    for placement in placements:
        transform, height, width = map_geometry(tuple(maps.shape[2:]), picture, placement)
        spots.append(MapSpot(height, width, transform))
    return spots


def _spot_of(frame: Frame) -> MapSpot:
    """A map of a frame that no network gives a size, as `MergeBoxMasks` makes it."""
    ratio = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    height, width = max(round(frame.height * ratio), 1), max(round(frame.width * ratio), 1)
    return MapSpot(height, width, Transform(frame.width / width, frame.height / height))


@lru_cache(maxsize=1024)
def _uploaded(t: Transform, device: torch.device) -> Tensor:
    """float32 [4]: scale of x and y, offset of x and y; uploaded once, as an upload waits for what the device does."""
    return torch.tensor((t.scale_x, t.scale_y, t.offset_x, t.offset_y), dtype=torch.float32, device=device)
