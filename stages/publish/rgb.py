"""A full-size RGB picture of a surface: for a sink that draws, and for nothing else."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np

from pipeline.messages import Surface, UInt8

AV_MATRIX: Final = {"bt601": "ITU601", "bt709": "ITU709"}
AV_RANGE: Final = {"limited": "MPEG", "full": "JPEG"}


def rgb_of(surface: Surface, *, size: tuple[int, int] | None = None) -> UInt8:
    """The surface as RGB [H, W, 3], by its own matrix and range; the caller may write into it.

    `size` (width, height) has it scaled on the way.
    """
    if surface.format == "rgb24":
        return surface.planes[0].copy() if size is None else _scaled(surface.planes[0], size)
    import av

    frame = av.VideoFrame(surface.width, surface.height, surface.format)
    for plane, pixels in zip(frame.planes, surface.planes, strict=True):
        rows = pixels.reshape(pixels.shape[0], -1)  # NV12 interleaves U and V along a row
        padded = np.frombuffer(cast(Any, plane), dtype=np.uint8).reshape(-1, plane.line_size)
        padded[: rows.shape[0], : rows.shape[1]] = rows
    width, height = size or (surface.width, surface.height)
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=AV_MATRIX[surface.matrix],
        dst_colorspace=AV_MATRIX[surface.matrix],
        src_color_range=AV_RANGE[surface.range],
        dst_color_range="JPEG",
        threads=1,
    )
    return np.ascontiguousarray(converted.to_ndarray())


def _scaled(rgb: UInt8, size: tuple[int, int]) -> UInt8:
    import cv2

    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
