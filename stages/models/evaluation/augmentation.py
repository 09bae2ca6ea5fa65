"""Test-time augmentation: a picture is looked at several times, whole, in parts and mirrored, and the finds are joined.

Boxes of all views go through the run's own suppression together. Prototype masks of every view are laid over the whole
picture's grid, one behind another, and a box has coefficients for those of its view alone, so that its mask is that
view's; semantic scores are the mean of the views that see a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from pipeline.messages import Batch, Detections, Frame, Prototypes, SemanticMap, Surface, Transform, UInt8
from pipeline.stage import Field, Stage

PADDING: Final = 114
CUT_SHARE: Final = 0.01  # of a part's side: a box that comes so near an inner edge is cut by it
SMALLEST_SCALE, LARGEST_SCALE = 0.25, 4.0


class View(NamedTuple):
    """A window of the picture, pixels; it may reach past the picture, which is grey there."""

    left: int
    top: int
    width: int
    height: int
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Which views there are beside the whole picture.

    Attributes:
        scales: above 1 the picture is seen larger, in parts that overlap; below 1 smaller, with grey around it.
        mirror: whether each view is seen mirrored, too.

    Raises:
        ValueError: for a scale out of range.
    """

    scales: tuple[float, ...] = ()
    mirror: bool = False

    def __post_init__(self) -> None:
        for scale in self.scales:
            if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
                raise ValueError(f"scale {scale:g}; {SMALLEST_SCALE:g} to {LARGEST_SCALE:g} can be taken")

    def views(self, width: int, height: int) -> list[View]:
        """The whole picture first."""
        windows = [View(0, 0, width, height, False)]
        for scale in self.scales:
            if scale != 1:
                windows += _windows(width, height, scale)
        mirrored = [view._replace(mirrored=True) for view in windows] if self.mirror else []
        return windows + mirrored

    def __str__(self) -> str:
        parts = [f"scales {', '.join(f'{scale:g}' for scale in self.scales)}"] if self.scales else []
        return " and ".join([*parts, "mirrored"] if self.mirror else parts) or "none"


def _windows(width: int, height: int, scale: float) -> list[View]:
    """Parts of `1 / scale` of each side, evenly over the picture; one with grey around it where `scale` is below 1."""
    wide, high = round(width / scale), round(height / scale)
    if scale < 1:
        return [View((width - wide) // 2, (height - high) // 2, wide, high, False)]
    places = np.linspace(0, 1, ceil(scale)).tolist()
    return [
        View(round(x * (width - wide)), round(y * (height - high)), wide, high, False) for y in places for x in places
    ]


class Augmented:
    """A detection stage that looks at every view.

    Args:
        detect: the stage that looks at one.
        augmentation: which views.
    """

    name = "detect"
    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})

    def __init__(self, detect: Stage, augmentation: Augmentation) -> None:
        self._detect, self._augmentation = detect, augmentation
        self.adds = detect.adds

    def __call__(self, batch: Batch) -> Batch:
        """The batch with what was found in all views."""
        looked = [self._look(frame) for frame in batch.frames]
        found = batch.with_(detections=tuple(detections for detections, _, _ in looked))
        if any(prototypes is None for _, prototypes, _ in looked):
            return found
        return found.with_(
            prototypes=tuple(prototypes for _, prototypes, _ in looked),
            semantic=tuple(semantic for _, _, semantic in looked),
        )

    def _look(self, frame: Frame) -> tuple[Detections, Prototypes | None, SemanticMap | None]:
        if frame.surface.format != "rgb24":
            raise ModelError(f"test-time augmentation needs rgb24 pictures; {frame!r} is given")
        rgb = frame.surface.planes[0]
        views = self._augmentation.views(frame.width, frame.height)
        batches = [self._detect(Batch((replace(frame, surface=Surface("rgb24", (cut(rgb, v),))),))) for v in views]
        boxes = [
            to_picture((batch.detections or ())[0], view, width=frame.width, height=frame.height)
            for batch, view in zip(batches, views, strict=True)
        ]
        prototypes = [batch.prototypes[0] for batch in batches if batch.prototypes]
        maps = [batch.semantic[0] for batch in batches if batch.semantic]
        scores = [one for one in maps if isinstance(one, SemanticMap)]
        if not prototypes or len(scores) < len(views):
            return joined(boxes), None, None
        return joined(boxes, blocks=True), joined_prototypes(prototypes, views), joined_scores(scores, views)


def cut(rgb: UInt8, view: View) -> UInt8:
    """The view's pixels [h, w, 3]."""
    left, top, width, height = view[:4]
    out = np.full((height, width, 3), PADDING, np.uint8)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, rgb.shape[1]), min(top + height, rgb.shape[0])
    out[y0 - top : y1 - top, x0 - left : x1 - left] = rgb[y0:y1, x0:x1]
    return np.ascontiguousarray(out[:, ::-1]) if view.mirrored else out


def to_picture(found: Detections, view: View, *, width: int, height: int) -> Detections:
    """A view's detections in pixels of the picture; without those that an inner edge of the view cuts."""
    boxes = found.boxes.copy()
    if view.mirrored:
        boxes[:, [0, 2]] = view.width - found.boxes[:, [2, 0]]
    near = np.array([view.width, view.height] * 2, np.float32) * CUT_SHARE
    edges = np.array([0, 0, view.width, view.height], np.float32)
    inner = np.array(
        [view.left > 0, view.top > 0, view.left + view.width < width, view.top + view.height < height], np.bool_
    )
    cut_off = ((np.abs(boxes - edges) < near) & inner).any(1)
    boxes = boxes + np.array([view.left, view.top] * 2, np.float32)
    boxes = boxes.clip(0, np.array([width, height] * 2, np.float32)).astype(np.float32)
    kept = np.flatnonzero(~cut_off & (boxes[:, 2:] > boxes[:, :2]).all(1))
    coefficients = None if found.coefficients is None else found.coefficients[kept]
    return Detections.of(boxes[kept], found.scores[kept], found.labels[kept], coefficients=coefficients)


def joined(found: Sequence[Detections], *, blocks: bool = False) -> Detections:
    """All detections; with `blocks` those of view v have coefficients for the v-th block of prototypes alone."""
    boxes = np.concatenate([one.boxes for one in found])
    scores, labels = (np.concatenate([getattr(one, name) for one in found]) for name in ("scores", "labels"))
    if not blocks:
        return Detections.of(boxes, scores, labels)
    count = next((one.coefficients.shape[1] for one in found if one.coefficients is not None), 0)
    wide = np.zeros((len(boxes), count * len(found)), np.float32)
    row = 0
    for view, one in enumerate(found):
        if one.coefficients is not None:
            wide[row : row + len(one), view * count : (view + 1) * count] = one.coefficients
        row += len(one)
    return Detections.of(boxes, scores, labels, coefficients=wide)


def joined_prototypes(found: Sequence[Prototypes], views: Sequence[View]) -> Prototypes:
    """The prototypes of all views on the grid of the first, a block of channels a view."""
    base = found[0]
    size = (base.masks.shape[1], base.masks.shape[2])
    blocks = [base.masks, *(_laid(one.masks, one, base, v, size) for one, v in zip(found[1:], views[1:], strict=True))]
    return Prototypes(np.concatenate(blocks), base.transform, base.valid_height, base.valid_width)


def joined_scores(found: Sequence[SemanticMap], views: Sequence[View]) -> SemanticMap:
    """The mean, on the grid of the first view, of the scores of all views that see a pixel."""
    base = found[0]
    size = (base.logits.shape[1], base.logits.shape[2])
    total, seen = base.logits.astype(np.float32).copy(), np.ones(size, np.float32)
    for one, view in zip(found[1:], views[1:], strict=True):
        inside = _inside(base.transform, view, size)
        total += _laid(one.logits, one, base, view, size) * inside
        seen += inside
    return SemanticMap(total / seen, base.transform, base.valid_height, base.valid_width)


def _laid(
    maps: NDArray[np.float32],
    own: Prototypes | SemanticMap,
    base: Prototypes | SemanticMap,
    view: View,
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """A view's maps [K, h, w] on the base's grid, linear between pixels."""
    columns, rows = _centres(base.transform, size)
    across, down = columns - view.left, rows - view.top
    if view.mirrored:
        across = view.width - across
    x = (across - own.transform.offset_x) / own.transform.scale_x - 0.5
    y = (down - own.transform.offset_y) / own.transform.scale_y - 0.5
    x = x.clip(0, own.valid_width - 1).astype(np.float32)
    y = y.clip(0, own.valid_height - 1).astype(np.float32)
    at = (np.broadcast_to(x, size).copy(), np.broadcast_to(y[:, None], size).copy())
    laid = [cv2.remap(one, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for one in maps]
    return np.stack([np.asarray(one, np.float32) for one in laid])


def _inside(transform: Transform, view: View, size: tuple[int, int]) -> NDArray[np.float32]:
    """1 where the view sees a pixel of the base's grid, else 0: [h, w]."""
    columns, rows = _centres(transform, size)
    across = (columns >= view.left) & (columns < view.left + view.width)
    down = (rows >= view.top) & (rows < view.top + view.height)
    return np.asarray(down[:, None] & across[None, :], np.float32)


def _centres(transform: Transform, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the centres of a grid's columns [w] and rows [h] lie in the picture."""
    columns = (np.arange(size[1]) + 0.5) * transform.scale_x + transform.offset_x
    rows = (np.arange(size[0]) + 0.5) * transform.scale_y + transform.offset_y
    return columns.astype(np.float64), rows.astype(np.float64)
