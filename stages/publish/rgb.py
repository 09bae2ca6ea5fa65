"""A full-size RGB picture of a surface: for a sink that draws, and for nothing else."""

from __future__ import annotations

from typing import Any, Final, cast

import numpy as np

from pipeline.messages import Surface, UInt8

AV_MATRIX: Final = {"bt601": "ITU601", "bt709": "ITU709"}
AV_RANGE: Final = {"limited": "MPEG", "full": "JPEG"}


def rgb_of(surface: Surface) -> UInt8:
    """The surface as RGB [H, W, 3], by its own matrix and range; the caller may write into it."""
    if surface.format == "rgb24":
        return surface.planes[0].copy()
    import av

    frame = av.VideoFrame(surface.width, surface.height, surface.format)
    for plane, pixels in zip(frame.planes, surface.planes, strict=True):
        rows = pixels.reshape(pixels.shape[0], -1)  # NV12 interleaves U and V along a row
        padded = np.frombuffer(cast(Any, plane), dtype=np.uint8).reshape(-1, plane.line_size)
        padded[: rows.shape[0], : rows.shape[1]] = rows
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=AV_MATRIX[surface.matrix],
        dst_colorspace=AV_MATRIX[surface.matrix],
        src_color_range=AV_RANGE[surface.range],
        dst_color_range="JPEG",
        threads=1,
    )
    return np.ascontiguousarray(converted.to_ndarray())
