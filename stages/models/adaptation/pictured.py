"""Held-out frames side by side: before, after, and what the teacher says."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Classes, Detections, FrameResult, ModelInfo, Tracks
from stages.models.adaptation.found import Found
from stages.models.labelled.packed import KeyedSample
from stages.models.labelled.sample import PackedSample
from stages.models.whole_file import write_whole

ROWS: Final = 6
COLUMN: Final = 480  # pixels
HEAD: Final = 40
SPACE: Final = 6
SHOWN_SCORE: Final = 0.4  # from which a run paints masks


def telling(samples: Sequence[KeyedSample], *, rows: int = ROWS) -> list[int]:
    """Frames worth showing: of each stretch of time the one with the most certain objects."""
    stretches = np.array_split(np.arange(len(samples)), min(rows, len(samples)))
    certain = [int((one.sample.visibility > 0).sum()) for one in samples]
    return [int(max(stretch, key=lambda i: (certain[i], -i))) for stretch in stretches if len(stretch)]


def side_by_side(
    images: Sequence[NDArray[np.uint8]],
    columns: dict[str, Sequence[Found]],
    things: Sequence[str],
    *,
    seconds: Sequence[float],
) -> NDArray[np.uint8]:
    """A picture: a row a frame, a column for each of those that found something in it.

    Args:
        images: [H, W, 3] each.
        columns: by title, what was found in each image.
        things: class names by label.
        seconds: when each image was, for its caption.
    """
    from stages.publish.colours import INK
    from stages.publish.tags import BOLD, put_text

    width = len(columns) * (COLUMN + SPACE) - SPACE
    head = np.full((HEAD, width, 3), 255, np.uint8)
    for at, title in enumerate(columns):
        put_text(head, title, (at * (COLUMN + SPACE) + 4, HEAD - 13), INK, 18, BOLD)
    strips = [head]
    for row, image in enumerate(images):
        cells = [_drawn(image, found[row], things, seconds[row]) for found in columns.values()]
        space = np.full((cells[0].shape[0], SPACE, 3), 255, np.uint8)
        strips.append(np.hstack([part for cell in cells for part in (cell, space)][:-1]))
        strips.append(np.full((SPACE, width, 3), 255, np.uint8))
    return np.vstack(strips)


def labels_of(packed: PackedSample) -> Found:
    """The teacher's certain labels."""
    certain = packed.visibility > 0
    return Found.of(packed.boxes[certain], packed.visibility[certain], packed.labels[certain])


def write_png(rgb: NDArray[np.uint8], path: Path) -> None:
    """Raises `OSError`."""
    done, data = cv2.imencode(".png", rgb[..., ::-1])
    assert done
    write_whole(path, data.tobytes())


def _drawn(image: NDArray[np.uint8], found: Found, things: Sequence[str], seconds: float) -> NDArray[np.uint8]:
    """An image `COLUMN` wide with what was found in it."""
    from stages.publish.draw import draw

    ratio = COLUMN / image.shape[1]
    size = (COLUMN, round(image.shape[0] * ratio))
    small = np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR), np.uint8
    )
    shown = found[found.scores >= SHOWN_SCORE]
    detections = Detections.of(shown.boxes * np.float32(ratio), shown.scores, shown.labels.astype(np.int32))
    result = FrameResult(
        source_id="",
        epoch=1,
        seq=0,
        pts=round(1000 * seconds),
        time_base=Fraction(1, 1000),
        capture_time_ns=0,
        clock="recording",
        width=size[0],
        height=size[1],
        classes=Classes(tuple(things)),
        model=ModelInfo("", ""),
        detections=detections,
        track_ids=np.full(len(shown), -1, np.int64),
        tracks=Tracks.empty(),
    )
    return draw(small, result)
