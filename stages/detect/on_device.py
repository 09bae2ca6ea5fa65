"""What detection networks give, up to suppressed boxes in source pixels, on the device that ran them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.config import SuppressConfig
from pipeline.messages import BatchDetections, Frame
from pipeline.messages.blocks import bounds_of
from stages.models.device_backend import Looked
from stages.models.preprocess import Placement
from stages.suppress.batched import suppress_batch

Geometry = tuple[
    float, ...
]  # scale and offset of x and y from network to source pixels, width and height of the source


@dataclass(frozen=True, slots=True, eq=False)
class KeptBoxes:
    """Detections of B frames after suppression, best first, on their device; what is past a count means nothing."""

    boxes: Tensor  # float32 [B, M, 4] xyxy, source pixels
    scores: Tensor  # float32 [B, M] what suppression left; 0 past the last
    raw_scores: Tensor  # float32 [B, M]
    labels: Tensor  # int64 [B, M]
    counts: Tensor  # int64 [B]
    rows: Tensor  # int64 [B, M] of the network's candidates, 0 past the last

    def tensors(self) -> dict[str, Tensor]:
        """What the host needs, by name."""
        names = ("boxes", "scores", "raw_scores", "labels", "counts")
        return {name: getattr(self, name) for name in names}


class BoxReader:
    """Reads candidates: those that count, in source pixels, suppressed. The rules are `Detect`'s and `Suppress`'s."""

    def __init__(
        self,
        *,
        score_threshold: float,
        suppress: SuppressConfig,
        kept_labels: Collection[int] | None = None,
        class_count: int,
    ) -> None:
        self._threshold = float(np.float32(score_threshold))
        self._suppress = suppress
        kept = range(class_count) if kept_labels is None else kept_labels
        self._kept = tuple(label in set(kept) for label in range(class_count))

    def __call__(self, looked: Looked, frames: Sequence[Frame]) -> KeptBoxes:
        """Boxes of ``boxes`` [B, K, 4], ``scores`` and ``labels`` [B, K], cut to the picture."""
        outputs = looked.outputs
        device = outputs["scores"].device
        boxes = _to_source(outputs["boxes"], geometry_of(frames, looked.placements, device))
        raw, labels = outputs["scores"].float(), outputs["labels"].long()
        able = (raw >= self._threshold) & (raw > 0) & _table(self._kept, device)[labels]
        able &= (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])
        settings = self._suppress
        kept = suppress_batch(
            boxes,
            torch.where(able, raw, 0.0),
            labels,
            method=settings.method,
            sigma=settings.sigma,
            iou_threshold=settings.iou_threshold,
            score_threshold=settings.score_threshold,
            max_detections=settings.max_detections,
            class_agnostic=settings.class_agnostic,
        )
        rows = kept.rows.clamp(min=0)
        return KeptBoxes(
            boxes=boxes.gather(1, rows[..., None].expand(-1, -1, 4)),
            scores=kept.scores,
            raw_scores=raw.gather(1, rows),
            labels=labels.gather(1, rows),
            counts=kept.counts,
            rows=rows,
        )


def block_of(arrays: Mapping[str, npt.NDArray[Any]]) -> BatchDetections:
    """The detections of a batch, from the arrays of `KeptBoxes.tensors` on the host."""
    counts = arrays["counts"]
    kept = np.arange(arrays["scores"].shape[1]) < counts[:, None]
    return BatchDetections(
        boxes=arrays["boxes"][kept],
        scores=arrays["scores"][kept],
        labels=arrays["labels"][kept],
        raw_scores=arrays["raw_scores"][kept],
        coefficients=None,
        bounds=bounds_of(counts.tolist()),
    )


def geometry_of(frames: Sequence[Frame], placements: Sequence[Placement], device: torch.device) -> Tensor:
    """float64 [B, 6], a row a frame: a `Geometry`.

    Each is uploaded once: an upload waits for what the device does, and batches mix sources as they come.
    """
    rows = []
    for frame, placement in zip(frames, placements, strict=True):
        t = placement.transform
        geometry = (t.scale_x, t.scale_y, t.offset_x, t.offset_y, float(frame.width), float(frame.height))
        rows.append(_uploaded(geometry, device))
    return torch.stack(rows)


def _to_source(boxes: Tensor, geometry: Tensor) -> Tensor:
    """Boxes [B, K, 4] of network pixels in source pixels, float32, cut to the source."""
    scale, offset, most = (geometry[:, None, first : first + 2].repeat(1, 1, 2) for first in (0, 2, 4))
    at = boxes.double() * scale + offset
    return torch.minimum(at.clamp(min=0.0), most).float()


@lru_cache(maxsize=1024)
def _uploaded(geometry: Geometry, device: torch.device) -> Tensor:
    return torch.tensor(geometry, dtype=torch.float64, device=device)


@lru_cache(maxsize=64)
def _table(truths: tuple[bool, ...], device: torch.device) -> Tensor:
    return torch.tensor(truths, dtype=torch.bool, device=device)
