"""Decoded planes on a device straight into a network's input: resized, converted, normalised, letterboxed, in one pass.

The same picture as `preprocess` makes on a CPU: planes are halved while they are twice too large on even sides, then
sampled linearly with pixel centres at halves, luma and chroma each on its own grid over the whole picture, and colours
are converted last. Here nothing is rounded on the way, so the levels differ by less than three from those of the CPU.

Two implementations with one result: `_torch` on any device, and the kernel of `letterbox_kernel` where Triton runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.messages import Matrix, Range
from stages.implementation import Implementation, uses_triton
from stages.models.preprocess import InputSpec, Placement, colour_matrix, place


def letterbox(
    planes: Sequence[Tensor],
    out: Tensor,
    spec: InputSpec,
    *,
    matrix: Matrix,
    levels: Range,
    implementation: Implementation = "auto",
) -> Placement:
    """Write one picture into `out`, padding and all, and say where the source lies in it.

    Nothing is waited for, but that the first call of a kind copies its constants to the device: call once before a CUDA
    graph is captured.

    Args:
        planes: uint8 on the device of `out`, with any strides: Y [H, W] and UV [ceil(H/2), ceil(W/2), 2] (nv12), or
            Y, U and V (yuv420p).
        out: [3, spec.height, spec.width] of any floating type and strides: a slot of a batch.
        matrix, levels: the colours of the planes.
        implementation: what computes it.

    Raises:
        ValueError: where shapes, types or devices do not fit.
    """
    luma, blue, red = _three_planes(planes)
    _check(luma, out, spec)
    height, width = luma.shape
    placement = place(width, height, spec)
    constants = _constants(spec, matrix, levels, out.device)
    if uses_triton(implementation, out.device):
        from stages.models.letterbox_kernel import letterbox_triton

        letterbox_triton(luma, blue, red, out, constants, placement)
    else:
        _torch(luma, blue, red, out, constants, placement)
    return placement


def nv12_planes(buffer: Tensor, *, width: int, height: int, luma_rows: int | None = None) -> tuple[Tensor, Tensor]:
    """Views of Y [H, W] and UV [ceil(H/2), ceil(W/2), 2] in one uint8 buffer [rows, pitch], as decoders lay it out.

    `luma_rows` is where the chroma begins, by default after `height` rows, rounded up to an even number. Raises
    `ValueError` where the buffer is too small.
    """
    first = height + height % 2 if luma_rows is None else luma_rows
    rows, columns = (height + 1) // 2, (width + 1) // 2
    if buffer.dtype != torch.uint8 or buffer.ndim != 2 or buffer.stride(1) != 1:
        raise ValueError(f"buffer is {buffer.dtype} {list(buffer.shape)}; uint8 [rows, pitch] is needed")
    if first < height or buffer.shape[0] < first + rows or buffer.shape[1] < 2 * columns:
        raise ValueError(
            f"buffer is {list(buffer.shape)} with chroma from row {first}; at least [{first + rows}, {2 * columns}], "
            f"and luma of {height} rows, is needed for {width}x{height}"
        )
    chroma = buffer[first : first + rows, : 2 * columns].view(rows, columns, 2)
    return buffer[:height, :width], chroma


def halvings(plane: tuple[int, int], size: tuple[int, int]) -> int:
    """How often a plane (height, width) is halved on its way to a size: see `preprocess.resize`."""
    (height, width), (to_height, to_width) = plane, size
    count = 0
    while height >= 2 * to_height and width >= 2 * to_width and not (height | width) & 1:
        height, width, count = height // 2, width // 2, count + 1
    return count


def _three_planes(planes: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    if len(planes) == 2 and planes[1].ndim == 3:
        luma, chroma = planes
        planes = (luma, chroma[..., 0], chroma[..., 1])
    shapes = [tuple(plane.shape) for plane in planes]
    luma_shape = shapes[0] if shapes else ()
    half = tuple((n + 1) // 2 for n in luma_shape)
    if len(planes) != 3 or len(luma_shape) != 2 or 0 in luma_shape or shapes[1:] != [half, half]:
        raise ValueError(f"planes have shapes {shapes}; [H, W] and chroma of half that, rounded up, is needed")
    if any(plane.dtype != torch.uint8 or plane.device != planes[0].device for plane in planes):
        raise ValueError(f"planes are {[f'{p.dtype} on {p.device}' for p in planes]}; uint8 on one device is needed")
    luma, blue, red = planes
    return luma, blue, red


def _check(luma: Tensor, out: Tensor, spec: InputSpec) -> None:
    wanted = (3, spec.height, spec.width)
    if tuple(out.shape) != wanted or not out.is_floating_point():
        raise ValueError(f"out is {out.dtype} {list(out.shape)}; a floating type and {list(wanted)} are needed")
    if out.device != luma.device:
        raise ValueError(f"planes are on {luma.device} and out is on {out.device}; one device is needed")


@lru_cache(maxsize=64)
def _constants(spec: InputSpec, matrix: Matrix, levels: Range, device: torch.device) -> Tensor:
    """float32 [3, 7], a row a channel of the network: weights of Y, Cb, Cr and 1; factor and addend; the padding."""
    factor = 1.0 / torch.tensor(spec.normalise.deviation, dtype=torch.float64)
    addend = -torch.tensor(spec.normalise.mean, dtype=torch.float64) * factor
    weights = torch.from_numpy(colour_matrix(matrix, levels, spec.colours)).double()
    columns = torch.stack([factor, addend, spec.padding * factor + addend], dim=1)
    return torch.cat([weights, columns], dim=1).float().to(device)


def _torch(luma: Tensor, blue: Tensor, red: Tensor, out: Tensor, constants: Tensor, placement: Placement) -> None:
    """The reference: the arithmetic of the kernel in the same order."""
    size = (placement.height, placement.width)
    y, cb, cr = (_sampled(plane, size) for plane in (luma, blue, red))
    out[...] = constants[:, 6, None, None].to(out.dtype)
    inside = out[:, placement.top : placement.top + size[0], placement.left : placement.left + size[1]]
    by, bcb, bcr, one, factor, addend = (constants[:, k, None, None] for k in range(6))
    level = (by * y + bcb * cb + bcr * cr + one).clamp(0.0, 255.0)
    inside[...] = (level * factor + addend).to(out.dtype)


def _sampled(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """A plane [H, W] at `size`, float32 levels: exact halvings, then linear samples."""
    count = halvings((plane.shape[0], plane.shape[1]), size)
    side = 1 << count
    blocks = plane.view(plane.shape[0] // side, side, plane.shape[1] // side, side)
    means = blocks.sum((1, 3), dtype=torch.int32).float() / float(side * side)
    y0, y1, down = _taps(means.shape[0], size[0], plane.device)
    x0, x1, across = _taps(means.shape[1], size[1], plane.device)
    down = down[:, None]
    upper, lower = means[y0], means[y1]
    top: Tensor = upper[:, x0] * (1.0 - across) + upper[:, x1] * across
    bottom: Tensor = lower[:, x0] * (1.0 - across) + lower[:, x1] * across
    return top * (1.0 - down) + bottom * down


def _taps(length: int, wanted: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `wanted` pixels the two of `length` it lies between and the weight of the second, exact in integers.

    The centre of pixel i lies at ``((2i + 1) * length - wanted) / (2 * wanted)``; before the first and after the last
    centre the edge is repeated.
    """
    at = ((2 * torch.arange(wanted, dtype=torch.int64, device=device) + 1) * length - wanted).clamp(min=0)
    first = torch.div(at, 2 * wanted, rounding_mode="floor")
    weight = (at - first * 2 * wanted).float() / (2.0 * wanted)
    return first, (first + 1).clamp(max=length - 1), weight
