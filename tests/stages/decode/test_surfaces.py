"""Surfaces: the right picture from every pixel format, odd size, colour tagging and rotation."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorRange, Colorspace

from pipeline.messages import Surface
from stages.decode.surface import SurfaceMaker
from tests.cameras.files import write_video
from tests.reading import read_source

UInt8 = npt.NDArray[np.uint8]

# Lossless, so that what is compared is the conversion; ffv1 takes every size and almost every format.
FORMATS = {
    "yuv420p": "ffv1",
    "yuv422p": "ffv1",
    "yuv444p": "ffv1",
    "yuv411p": "ffv1",
    "yuv420p10le": "ffv1",
    "yuv422p10le": "ffv1",
    "yuv444p12le": "ffv1",
    "yuva420p": "ffv1",
    "gray": "ffv1",
    "gray10le": "ffv1",
    "bgr0": "ffv1",
    "gbrp10le": "ffv1",
    "yuvj420p": "mjpeg",
    "yuvj422p": "mjpeg",
    "yuvj444p": "mjpeg",
    "nv12": "rawvideo",
    "yuyv422": "rawvideo",
    "rgb24": "rawvideo",
}
SIZES = [(64, 48), (63, 47), (97, 33)]
# FFmpeg's own rawvideo loses the last column of packed 4:2:2 in odd widths.
CASES = [(name, size) for name in FORMATS for size in SIZES if name != "yuyv422" or size[0] % 2 == 0]


def smooth_picture(width: int, height: int, *, gray: bool = False) -> UInt8:
    """RGB [H, W, 3] with a gradient in each channel: subsampled chroma loses next to nothing of it."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = [x * 0.5 + 0.25] * 3 if gray else [0.2 + 0.6 * x, 0.2 + 0.6 * y, 0.8 - 0.3 * x - 0.3 * y]
    return np.asarray(np.stack(channels, axis=2) * 255, dtype=np.uint8)


def to_rgb(surface: Surface) -> npt.NDArray[np.float64]:
    """The slow reference: [H, W, 3] by the matrix and range that the surface names (ITU-R BT.601, BT.709)."""
    height, width = surface.height, surface.width
    luma = surface.planes[0].astype(float)
    u, v = (plane.repeat(2, 0).repeat(2, 1)[:height, :width].astype(float) - 128 for plane in surface.planes[1:])
    if surface.range == "limited":
        luma, u, v = (luma - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[surface.matrix]
    red, blue = luma + 2 * (1 - kr) * v, luma + 2 * (1 - kb) * u
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=2), 0, 255)


def written(path: Path, pixel_format: str, size: tuple[int, int], **settings: Any) -> Path:
    picture = smooth_picture(*size, gray=pixel_format.startswith("gray"))
    suffix = "nut" if FORMATS[pixel_format] == "rawvideo" else "mkv"
    options = {"qmin": "1", "q": "1"} if FORMATS[pixel_format] == "mjpeg" else {}
    return write_video(
        path / f"clip.{suffix}",
        [picture] * 2,
        codec=FORMATS[pixel_format],
        pixel_format=pixel_format,
        options=options,
        **settings,
    )


@pytest.mark.parametrize(("pixel_format", "size"), CASES, ids=str)
def test_every_pixel_format_shows_the_picture(tmp_path: Path, pixel_format: str, size: tuple[int, int]) -> None:
    path = written(tmp_path, pixel_format, size)
    frames = read_source(path).frames
    assert len(frames) == 2
    surface = frames[0].surface
    assert (surface.width, surface.height) == size
    difference = np.abs(to_rgb(surface) - smooth_picture(*size, gray=pixel_format.startswith("gray")))
    assert difference.mean() < 4
    assert np.percentile(difference, 99) < 16


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12"])
def test_surfaces_are_pyavs_own_conversion(tmp_path: Path, pixel_format: str, size: tuple[int, int]) -> None:
    path = written(tmp_path, pixel_format, size)
    surface = read_source(path).frames[0].surface
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    if not pixel_format.startswith("yuvj"):
        picture = picture.reformat(format="yuv420p")
    for ours, theirs in zip(surface.planes, picture.planes, strict=True):
        rows = np.frombuffer(theirs, np.uint8).reshape(theirs.height, theirs.line_size)[:, : theirs.width]
        np.testing.assert_array_equal(ours, rows)


@pytest.mark.parametrize("color_range", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("colorspace", [Colorspace.ITU601, Colorspace.ITU709, Colorspace.BT2020])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_matrix_and_range_are_carried(pixel_format: str, colorspace: Colorspace, color_range: ColorRange) -> None:
    picture = av.VideoFrame.from_ndarray(smooth_picture(64, 48), format="rgb24").reformat(
        format=pixel_format, dst_colorspace=colorspace, dst_color_range=color_range, src_color_range=ColorRange.JPEG
    )
    surface = SurfaceMaker()(picture)
    assert surface.range == ("full" if color_range == ColorRange.JPEG else "limited")
    assert surface.matrix == ("bt601" if colorspace == Colorspace.ITU601 else "bt709")
    assert np.abs(to_rgb(surface) - smooth_picture(64, 48)).mean() < 4


def test_untagged_gray_of_h264_is_limited_range(tmp_path: Path) -> None:
    luma = np.tile(np.arange(16, 236, dtype=np.uint8)[:, None], (1, 64))
    path = tmp_path / "gray.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 220, "gray"
        stream.codec_context.options = {"qp": "0", "preset": "ultrafast"}
        container.mux(stream.encode(av.VideoFrame.from_ndarray(luma, format="gray")))
        container.mux(stream.encode(None))
    surface = read_source(path).frames[0].surface
    assert surface.range == "limited"
    np.testing.assert_array_equal(surface.planes[0], luma)
    assert all((plane == 128).all() for plane in surface.planes[1:])


@pytest.mark.parametrize(("size", "matrix"), [((720, 576), "bt601"), ((1280, 720), "bt709"), ((640, 640), "bt709")])
def test_an_untagged_picture_has_the_matrix_of_its_size(size: tuple[int, int], matrix: str) -> None:
    picture = av.VideoFrame(*size, "yuv420p")
    assert SurfaceMaker()(picture).matrix == matrix


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_a_rotated_recording_stands_upright_as_in_opencv(tmp_path: Path, degrees: int) -> None:
    path = write_video(tmp_path / "turned.mp4", [smooth_picture(64, 48)] * 3, rotation=degrees)
    surface = read_source(path).frames[0].surface
    _, upright = cv2.VideoCapture(str(path)).read()
    assert (surface.height, surface.width) == upright.shape[:2] == ((64, 48) if degrees % 180 else (48, 64))
    assert np.abs(to_rgb(surface) - upright[..., ::-1]).mean() < 6
    assert read_source(path).info.width == surface.width


def test_an_interlaced_recording_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fields.mkv"
    write_video(path, [smooth_picture(64, 64)] * 4, options={"flags": "+ildct+ilme", "x264-params": "tff=1"})
    surface = read_source(path).frames[-1].surface
    with av.open(str(path)) as container:
        picture = list(container.decode(video=0))[-1]
    assert picture.interlaced_frame
    np.testing.assert_array_equal(np.concatenate([p.ravel() for p in surface.planes]), picture.to_ndarray().ravel())


def test_a_picture_stored_bottom_up_is_turned(tmp_path: Path) -> None:
    path = tmp_path / "dib.avi"
    rgb = smooth_picture(64, 48)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="bgr24")))
    assert np.abs(to_rgb(read_source(path).frames[0].surface) - rgb).mean() < 4


def test_planes_of_ordinary_video_are_not_copied(tmp_path: Path) -> None:
    picture = av.VideoFrame(64, 48, "yuv420p")
    for plane, view in zip(picture.planes, SurfaceMaker()(picture).planes, strict=True):
        assert view.ctypes.data == plane.buffer_ptr
