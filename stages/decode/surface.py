"""A decoded picture as a `Surface`: a view of FFmpeg's planes wherever that is possible."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from pipeline.messages import Matrix, Range, Surface
from stages.decode.colours import default_matrix

UInt8 = npt.NDArray[np.uint8]

_VIEWED = frozenset({"yuv420p", "yuvj420p"})
_NEUTRAL_CHROMA = 128

# Untagged gray uses all 256 values in picture codecs and FFmpeg's scaler, but not in the standards of these.
_LIMITED_GRAY = frozenset({"h264", "hevc", "vvc", "av1", "libdav1d", "vp9"})

# FFmpeg's AVColorSpace. BT.2020 is converted, the others' matrices are told apart by less than eight bits can show.
_BT2020 = frozenset({9, 10})
_MATRIX: dict[int, Matrix] = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt709", 10: "bt709"}
_COLORSPACE: dict[Matrix, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}
_UNSPECIFIED, _FULL = int(ColorRange.UNSPECIFIED), int(ColorRange.JPEG)  # plain, since an enum compares slowly
_COLOR_RANGE: dict[Range, ColorRange] = {"limited": ColorRange.MPEG, "full": ColorRange.JPEG}


class SurfaceMaker:
    """Keeps the scaler between pictures of one stream; making one anew costs more than converting with it."""

    def __init__(self, *, codec: str = "") -> None:
        self._reformatter = VideoReformatter()
        self._gray_range: Range = "limited" if codec in _LIMITED_GRAY else "full"

    def __call__(self, picture: VideoFrame) -> Surface:
        """The picture as yuv420p, upright. Planes are read-only: the decoder may still predict from them."""
        matrix, color_range = matrix_of(picture), range_of(picture, gray=self._gray_range)
        if picture.format.name in _VIEWED and picture.colorspace not in _BT2020:
            planes = tuple(plane_view(plane) for plane in picture.planes)
        elif picture.format.name == "gray":
            planes = gray_planes(picture)
        else:
            planes = self._converted(picture, matrix, color_range)
        if rotation := picture.rotation:
            planes = tuple(rotated(plane, rotation) for plane in planes)
        return Surface("yuv420p", planes, matrix=matrix, range=color_range)

    def _converted(self, picture: VideoFrame, matrix: Matrix, color_range: Range) -> tuple[UInt8, ...]:
        """The same colours in eight bits and 4:2:0, by FFmpeg's scaler."""
        is_rgb = picture.format.is_rgb
        converted = self._reformatter.reformat(
            picture,
            format="yuv420p",
            src_colorspace=None if is_rgb or picture.colorspace in _BT2020 else _COLORSPACE[matrix],
            dst_colorspace=_COLORSPACE[matrix],
            src_color_range=ColorRange.JPEG if is_rgb else _COLOR_RANGE[color_range],
            dst_color_range=_COLOR_RANGE[color_range],
            threads=1,  # by default the scaler starts a thread a core
        )
        return tuple(plane_view(plane) for plane in converted.planes)


def matrix_of(picture: VideoFrame) -> Matrix:
    """The matrix the stream names; where it names none, BT.601 in standard definition, else BT.709, as mpv does."""
    return _MATRIX.get(picture.colorspace, default_matrix(picture.width, picture.height))


def range_of(picture: VideoFrame, *, gray: Range = "full") -> Range:
    """Limited, unless the stream says that it uses all 256 values; `gray` is for gray pictures that say nothing."""
    color_range, name = picture.color_range, picture.format.name
    if name == "gray" and color_range == _UNSPECIFIED:
        return gray
    full = color_range == _FULL or name.startswith("yuvj")
    return "full" if full and not picture.format.is_rgb else "limited"


def plane_view(plane: VideoPlane) -> UInt8:
    """A plane [height, width] without a copy; the array keeps FFmpeg's frame alive."""
    height, stride = plane.height, plane.line_size
    offset = 0 if stride > 0 else (1 - height) * stride  # stored bottom up: the first row is the last in memory
    # One call of the constructor; frombuffer, reshape and a slice take three times as long, three times a frame.
    return np.ndarray((height, plane.width), np.uint8, memoryview(plane).toreadonly(), offset, (stride, 1))


def gray_planes(picture: VideoFrame) -> tuple[UInt8, UInt8, UInt8]:
    """Luma as it is, and chroma without colour: the scaler would take gray for full range."""
    luma = plane_view(picture.planes[0])
    height, width = luma.shape
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), _NEUTRAL_CHROMA, dtype=np.uint8)
    return luma, chroma, chroma


def rotated(plane: UInt8, degrees: int) -> UInt8:
    """The plane turned counterclockwise to the nearest quarter, as its display matrix asks."""
    return np.ascontiguousarray(np.rot90(plane, k=round(degrees / 90)))
