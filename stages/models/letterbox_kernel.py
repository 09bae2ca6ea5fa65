"""The Triton kernel of `letterbox`: one program a tile of the network's picture, all three channels of it."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from stages.models.letterbox import halvings
from stages.models.preprocess import Placement

_ROWS, _COLUMNS = 8, 128  # a tile: its rows are written in whole cache lines

# Sizes differ from camera to camera; a kernel compiled anew for each would stop the others for a second.
_SIZES = [
    "y_row",
    "y_column",
    "c_row",
    "c_column",
    "y_height",
    "y_width",
    "c_height",
    "c_width",
    "y_halvings",
    "c_halvings",
    "left",
    "top",
    "width",
    "height",
]


def letterbox_triton(
    luma: Tensor, blue: Tensor, red: Tensor, out: Tensor, constants: Tensor, placement: Placement
) -> None:
    """See `letterbox`; constants as its `_constants` makes them."""
    _, out_height, out_width = out.shape
    size = (placement.height, placement.width)
    y_halvings, c_halvings = (halvings((plane.shape[0], plane.shape[1]), size) for plane in (luma, blue))
    if blue.stride() != red.stride():
        blue, red = blue.contiguous(), red.contiguous()
    grid = (triton.cdiv(out_width, _COLUMNS), triton.cdiv(out_height, _ROWS))
    _letterbox[grid](
        luma,
        blue,
        red,
        out,
        constants,
        *luma.stride(),
        *blue.stride(),
        *out.stride(),
        luma.shape[0] >> y_halvings,
        luma.shape[1] >> y_halvings,
        blue.shape[0] >> c_halvings,
        blue.shape[1] >> c_halvings,
        y_halvings,
        c_halvings,
        placement.left,
        placement.top,
        placement.width,
        placement.height,
        out_width,
        out_height,
        tile_rows=_ROWS,
        tile_columns=_COLUMNS,
        enable_fp_fusion=False,  # the order of `letterbox`'s reference, and its rounding
    )


@triton.jit
def _block_mean(plane, row, column, row_stride, column_stride, halvings, mask):
    """Means of blocks of ``2**halvings`` pixels a side: what so many halvings leave of them."""
    side = 1 << halvings
    total = tl.zeros_like(row + column)
    corner = (row * row_stride + column * column_stride) * side
    for dy in range(side):
        for dx in range(side):
            total += tl.load(plane + corner + dy * row_stride + dx * column_stride, mask=mask, other=0).to(tl.int32)
    return total.to(tl.float32) / (side * side).to(tl.float32)


@triton.jit
def _taps(position, length, wanted):
    """The two of `length` pixels between which the centre of one of `wanted` lies, and the weight of the second."""
    at = tl.maximum((2 * position + 1) * length - wanted, 0)
    first = tl.minimum(at // (2 * wanted), length - 1)
    weight = tl.div_rn((at - first * 2 * wanted).to(tl.float32), (2 * wanted).to(tl.float32))
    return first, tl.minimum(first + 1, length - 1), weight


@triton.jit
def _sample(plane, y, x, row_stride, column_stride, length_y, length_x, height, width, halvings, mask):
    y0, y1, down = _taps(y, length_y, height)
    x0, x1, across = _taps(x, length_x, width)
    near = _block_mean(plane, y0, x0, row_stride, column_stride, halvings, mask)
    far = _block_mean(plane, y0, x1, row_stride, column_stride, halvings, mask)
    top = near * (1.0 - across) + far * across
    near = _block_mean(plane, y1, x0, row_stride, column_stride, halvings, mask)
    far = _block_mean(plane, y1, x1, row_stride, column_stride, halvings, mask)
    bottom = near * (1.0 - across) + far * across
    return top * (1.0 - down) + bottom * down


@triton.jit(do_not_specialize=_SIZES)
def _letterbox(
    luma,  # uint8 [y_height, y_width] after halving
    blue,
    red,
    out,  # [3, out_height, out_width]
    constants,  # float32 [3, 7]
    y_row,
    y_column,
    c_row,
    c_column,
    out_channel,
    out_row,
    out_column,
    y_height,
    y_width,
    c_height,
    c_width,
    y_halvings,
    c_halvings,
    left,
    top,
    width,
    height,
    out_width,
    out_height,
    tile_rows: tl.constexpr,
    tile_columns: tl.constexpr,
):
    rows = (tl.program_id(1) * tile_rows + tl.arange(0, tile_rows))[:, None]
    columns = (tl.program_id(0) * tile_columns + tl.arange(0, tile_columns))[None, :]
    y, x = rows - top, columns - left
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    luminance = _sample(luma, y, x, y_row, y_column, y_height, y_width, height, width, y_halvings, inside)
    cb = _sample(blue, y, x, c_row, c_column, c_height, c_width, height, width, c_halvings, inside)
    cr = _sample(red, y, x, c_row, c_column, c_height, c_width, height, width, c_halvings, inside)
    written = (rows < out_height) & (columns < out_width)
    for channel in tl.static_range(3):
        row = constants + channel * 7
        level = tl.load(row) * luminance + tl.load(row + 1) * cb + tl.load(row + 2) * cr + tl.load(row + 3)
        level = tl.minimum(tl.maximum(level, 0.0), 255.0)
        value = tl.where(inside, level * tl.load(row + 4) + tl.load(row + 5), tl.load(row + 6))
        tl.store(
            out + channel * out_channel + rows * out_row + columns * out_column,
            value.to(out.dtype.element_ty),
            mask=written,
        )
