"""Pictures that carry their number as blocks, so that a test can prove frame order, loss and latency.

The top of the picture holds two rows of 16 cells: the bits of the number, highest first, and below them the same bits
inverted. A bit is read by comparing a cell with the one under it, which survives compression, scaling and range.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

BITS = 16
_CLEAR_DIFFERENCE = 60.0  # of the mean luma of a cell and its inverse, from 0 to 255

UInt8 = npt.NDArray[np.uint8]


def cell_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a cell in pixels."""
    return width // BITS, max(4, height // 10)


def numbered_frame(number: int, width: int, height: int) -> UInt8:
    """An RGB picture [height, width, 3] that carries `number` and moves with it."""
    ys, xs = np.mgrid[0:height, 0:width]
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[..., 0] = (xs + 2 * number) % 256
    picture[..., 1] = (ys + number) % 256
    picture[..., 2] = 96
    cell_width, cell_height = cell_size(width, height)
    bits = [(number >> (BITS - 1 - i)) & 1 for i in range(BITS)]
    for i, bit in enumerate(bits):
        columns = slice(i * cell_width, (i + 1) * cell_width)
        picture[:cell_height, columns] = 255 * bit
        picture[cell_height : 2 * cell_height, columns] = 255 * (1 - bit)
    return picture


def numbered_frames(count: int, width: int, height: int, *, first: int = 0) -> Iterator[UInt8]:
    """`count` RGB pictures [height, width, 3] numbered from `first`."""
    return (numbered_frame(first + i, width, height) for i in range(count))


def read_number(picture: UInt8) -> int | None:
    """The number in an RGB picture [H, W, 3] or a luma plane [H, W]; None where it cannot be read with certainty."""
    luma = picture.astype(np.float32)
    luma = luma.mean(axis=2) if luma.ndim == 3 else luma
    height, width = luma.shape
    cell_width, cell_height = cell_size(width, height)
    rows = luma[: 2 * cell_height, : BITS * cell_width]
    cells = rows.reshape(2, cell_height, BITS, cell_width)[:, 1:-1, :, 1:-1].mean(axis=(1, 3))  # [2, BITS]
    difference = cells[0] - cells[1]
    if np.abs(difference).min() < _CLEAR_DIFFERENCE:
        return None
    return int(sum(1 << (BITS - 1 - i) for i in range(BITS) if difference[i] > 0))
