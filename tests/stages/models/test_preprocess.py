"""Preprocessing: against a slow float reference, colour by colour; geometry there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.messages import Surface, UInt8
from stages.models.preprocess import (
    Fit,
    InputSpec,
    Preprocessor,
    colour_matrix,
    map_geometry,
    paint,
    place,
    resize,
)

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
# Y, Cb, Cr of 100 % colours, 8 bits: BT.601-7 and BT.709-6 as published tables give them.
KNOWN = [
    ("bt601", "limited", (81, 90, 240), RED),
    ("bt601", "limited", (145, 54, 34), GREEN),
    ("bt601", "limited", (41, 240, 110), BLUE),
    ("bt709", "limited", (63, 102, 240), RED),
    ("bt709", "limited", (173, 42, 26), GREEN),
    ("bt709", "limited", (32, 240, 118), BLUE),
    ("bt601", "limited", (235, 128, 128), WHITE),
    ("bt709", "limited", (16, 128, 128), BLACK),
    ("bt601", "full", (76, 85, 255), RED),
    ("bt709", "full", (255, 128, 128), WHITE),
    ("bt709", "full", (0, 128, 128), BLACK),
]


def smooth(rng: np.random.Generator, height: int, width: int) -> UInt8:
    """A plane with a gradient, texture and some noise."""
    y, x = np.mgrid[:height, :width]
    wave = np.sin(x / 7 + rng.uniform(0, 6)) + np.cos(y / 5 + rng.uniform(0, 6))
    return np.clip(128 + 45 * wave + rng.normal(0, 6, (height, width)), 16, 235).astype(np.uint8)


def surface(kind: Any, height: int, width: int, *, matrix: Any = "bt601", levels: Any = "limited") -> Surface:
    rng = np.random.default_rng(height * width)
    half = ((height + 1) // 2, (width + 1) // 2)
    if kind == "rgb24":
        return Surface(kind, (np.stack([smooth(rng, height, width) for _ in range(3)], axis=-1),), matrix, levels)
    y, u, v = smooth(rng, height, width), smooth(rng, *half), smooth(rng, *half)
    planes = (y, u, v) if kind == "yuv420p" else (y, np.stack([u, v], axis=-1))
    return Surface(kind, planes, matrix, levels)


def halved(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Means of 2x2 pixels while the plane is twice too large on even sides."""
    while (
        plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height and plane.shape[0] % 2 == plane.shape[1] % 2 == 0
    ):
        plane = (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4
    return plane


def sampled(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bilinear samples at pixel centres, edges repeated; one pixel at a time."""
    plane = halved(plane.astype(np.float64), width, height)
    out = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) * plane.shape[0] / height - 0.5, 0), plane.shape[0] - 1)
            x = min(max((column + 0.5) * plane.shape[1] / width - 0.5, 0), plane.shape[1] - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, plane.shape[0] - 1), min(x0 + 1, plane.shape[1] - 1)
            top = plane[y0, x0] * (1 - (x - x0)) + plane[y0, x1] * (x - x0)
            bottom = plane[y1, x0] * (1 - (x - x0)) + plane[y1, x1] * (x - x0)
            out[row, column] = top * (1 - (y - y0)) + bottom * (y - y0)
    return out


def painted_slowly(given: Surface, width: int, height: int) -> np.ndarray:
    """RGB by sampling every plane in float and converting each pixel with the standard's own formula."""
    if given.format == "rgb24":
        return np.stack([sampled(given.planes[0][..., c], width, height) for c in range(3)], axis=-1)
    planes = given.planes if given.format == "yuv420p" else (given.planes[0], *np.moveaxis(given.planes[1], -1, 0))
    y, cb, cr = (sampled(plane, width, height) for plane in planes)
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[given.matrix]
    limited = given.range == "limited"
    y = (y - 16) / 219 if limited else y / 255
    cb, cr = ((c - 128) / (224 if limited else 255) for c in (cb, cr))
    red = y + 2 * (1 - kr) * cr
    blue = y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)


@pytest.mark.parametrize("size", [(48, 27), (31, 33), (96, 54)])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("levels", ["limited", "full"])
@pytest.mark.parametrize("kind", ["yuv420p", "nv12", "rgb24"])
def test_painting_equals_sampling_then_converting(kind: str, levels: str, matrix: str, size: tuple[int, int]) -> None:
    width, height = size
    given = surface(kind, 72, 128, matrix=matrix, levels=levels)
    out = np.empty((height, width, 3), dtype=np.uint8)
    paint(given, out, "rgb")
    error = np.abs(out.astype(float) - painted_slowly(given, width, height))
    assert error.max() <= 3.0  # each plane is rounded before the matrix, which doubles chroma
    assert error.mean() <= 0.6


@pytest.mark.parametrize("kind", ["yuv420p", "nv12", "rgb24"])
def test_odd_sizes_are_painted(kind: str) -> None:
    given = surface(kind, 45, 83)
    out = np.empty((20, 40, 3), dtype=np.uint8)
    paint(given, out, "rgb")
    assert np.abs(out.astype(float) - painted_slowly(given, 40, 20)).max() <= 3.0


@pytest.mark.parametrize("kind", ["yuv420p", "nv12", "rgb24"])
def test_bgr_is_rgb_turned_round(kind: str) -> None:
    rgb, bgr = np.empty((27, 48, 3), dtype=np.uint8), np.empty((27, 48, 3), dtype=np.uint8)
    paint(surface(kind, 72, 128), rgb, "rgb")
    paint(surface(kind, 72, 128), bgr, "bgr")
    assert np.array_equal(rgb, bgr[..., ::-1])


@pytest.mark.parametrize(("matrix", "levels", "yuv", "rgb"), KNOWN)
def test_primaries_come_out_as_published(matrix: Any, levels: Any, yuv: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    got = colour_matrix(matrix, levels, "rgb") @ np.array([*yuv, 1], dtype=np.float32)
    assert np.abs(np.clip(got, 0, 255) - rgb).max() <= 2.0


def test_resizing_reads_every_pixel_of_a_much_larger_picture() -> None:
    plane = np.zeros((512, 512), dtype=np.uint8)
    plane[::2, ::2] = 200  # plain linear sampling at a fifth would see either all of it or nothing
    small = resize(plane, (100, 100))
    assert small.mean() == pytest.approx(50, abs=1)
    assert small.std() < 3


@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.sampled_from(["stretch", "corner", "centre"]),
    st.sampled_from([(416, 416), (512, 288), (257, 257)]),
)
@settings(max_examples=200, deadline=None)
def test_geometry_there_and_back(width: int, height: int, fit: Fit, network: tuple[int, int]) -> None:
    spec = InputSpec(width=network[0], height=network[1], colours="rgb", fit=fit)
    placed = place(width, height, spec)
    whole = np.array([[0, 0, width, height]], dtype=np.float32)
    inside = placed.transform.invert(whole)[0]
    expected = [placed.left, placed.top, placed.left + placed.width, placed.top + placed.height]
    assert inside == pytest.approx(expected, abs=0.01)
    assert placed.transform.apply(inside[None])[0] == pytest.approx(whole[0], rel=1e-4, abs=0.05)
    assert min(placed.left, placed.top) >= 0
    assert placed.left + placed.width <= spec.width
    assert placed.top + placed.height <= spec.height


@pytest.mark.parametrize(
    ("fit", "expected"),
    [("stretch", (0, 0, 416, 416)), ("corner", (0, 0, 416, 234)), ("centre", (0, 91, 416, 234))],
)
def test_each_fit_places_a_wide_picture(fit: Fit, expected: tuple[int, ...]) -> None:
    placed = place(768, 432, InputSpec(width=416, height=416, colours="rgb", fit=fit))
    assert (placed.left, placed.top, placed.width, placed.height) == expected


def test_padding_is_kept_clean_when_sizes_alternate() -> None:
    spec = InputSpec(width=64, height=64, colours="rgb", fit="centre", padding=7)
    preprocess = Preprocessor(spec)
    for height, width in [(32, 64), (64, 32), (32, 64)]:
        picture, placed = preprocess(surface("rgb24", height, width))
        fresh, _ = Preprocessor(spec)(surface("rgb24", height, width))
        assert np.array_equal(picture, fresh)
        assert (picture[0, : placed.top] == 7).all()
        assert (picture[0, :, : placed.left] == 7).all()


def test_a_map_knows_which_part_of_it_shows_the_picture() -> None:
    spec = InputSpec(width=512, height=288, colours="rgb", fit="corner")
    placed = place(720, 720, spec)  # 288x288 in the corner
    transform, height, width = map_geometry((72, 128), spec, placed)
    assert (height, width) == (72, 72)
    assert transform.apply(np.array([[0, 0, 72, 72]], dtype=np.float32))[0] == pytest.approx([0, 0, 720, 720])
