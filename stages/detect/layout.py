"""What a detector's outputs mean: the contract that every layout fulfils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.messages import Float32, Int32, Int64
from stages.detect.cells import best_classes
from stages.models.backend import Signature
from stages.models.network_stage import Outputs
from stages.models.preprocess import InputSpec


class Candidates(NamedTuple):
    """Boxes above the score threshold, not suppressed, in no order; in pixels of the network's picture."""

    boxes: Float32  # [N, 4] xyxy
    scores: Float32  # [N]
    labels: Int32  # [N]
    coefficients: Float32 | None = None  # [N, K]


Decode = Callable[[Outputs, float], Candidates]  # outputs, score threshold


@dataclass(frozen=True, slots=True)
class MaskOutputs:
    """Which outputs, by index, carry masks; each [1, channels, h, w]."""

    prototypes: int
    semantic: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A family of detectors.

    Attributes:
        shape: its outputs in words, for the message that lists the known layouts.
        classes: number of classes a graph scores, None where the graph is not of this layout.
        picture: the picture it wants.
        decoder: makes the decoding function; given the outputs for a grey picture, where values tell variants apart.
        score_threshold: below it a candidate is noise.
        masks: which outputs carry masks.
    """

    shape: str
    classes: Callable[[Signature], int | None]
    picture: Callable[[Signature], InputSpec]
    decoder: Callable[[Signature, Outputs], Decode]
    score_threshold: float = 0.1
    masks: Callable[[Signature], MaskOutputs | None] = lambda _: None


def cells(height: int, width: int, strides: Sequence[int]) -> list[tuple[int, int]]:
    """Rows and columns of the grid of each stride."""
    return [(-(-height // stride), -(-width // stride)) for stride in strides]


def count_cells(height: int, width: int, strides: Sequence[int]) -> int:
    """Cells of all strides together."""
    return sum(rows * columns for rows, columns in cells(height, width, strides))


def corners(height: int, width: int, strides: Sequence[int]) -> tuple[Float32, Float32]:
    """Top left corner [A, 2] of every cell, counted in cells, and its stride [A, 1]; finest first, row by row."""
    grids, sizes = [], []
    for stride, (rows, columns) in zip(strides, cells(height, width, strides), strict=True):
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        grids.append(grid.astype(np.float32))
        sizes.append(np.full((len(grid), 1), stride, dtype=np.float32))
    return np.concatenate(grids), np.concatenate(sizes)


def from_centres(centres: Float32, sizes: Float32) -> Float32:
    """`xyxy` [N, 4] from centres [N, 2] and sizes [N, 2]."""
    halves = sizes / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def best_class(scores: Float32, threshold: float) -> tuple[Int64, Int32, Float32]:
    """Rows of scores [A, C] whose best class reaches the threshold: their indices, classes and scores."""
    return best_classes(np.asarray(scores, dtype=np.float32), threshold)
