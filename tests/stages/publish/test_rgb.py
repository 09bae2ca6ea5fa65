import itertools

import numpy as np
import pytest

from pipeline.messages import Surface
from stages.publish.rgb import rgb_of

WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # of red and blue in luma


def reference(surface):
    """ITU-R BT.601 and BT.709, in floating point; chroma repeated over its 2x2 pixels."""
    height, width = surface.height, surface.width
    if surface.format == "nv12":
        u, v = surface.planes[1][..., 0], surface.planes[1][..., 1]
    else:
        u, v = surface.planes[1:]
    y = surface.planes[0].astype(float)
    u, v = (np.repeat(np.repeat(p, 2, 0), 2, 1)[:height, :width].astype(float) - 128 for p in (u, v))
    y, u, v = ((y - 16) / 219, u / 224, v / 224) if surface.range == "limited" else (y / 255, u / 255, v / 255)
    red_share, blue_share = WEIGHTS[surface.matrix]
    red, blue = y + 2 * (1 - red_share) * v, y + 2 * (1 - blue_share) * u
    green = (y - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 1) * 255


@pytest.mark.parametrize(
    ("pixel_format", "matrix", "colour_range"),
    list(itertools.product(("yuv420p", "nv12"), ("bt601", "bt709"), ("limited", "full"))),
)
@pytest.mark.parametrize("size", [(64, 48), (35, 21), (1, 1)])
def test_colours_are_those_of_the_standard(pixel_format, matrix, colour_range, size):
    width, height = size
    rng = np.random.default_rng(3)
    half = ((height + 1) // 2, (width + 1) // 2)
    y = np.full((height, width), 130, dtype=np.uint8) + rng.integers(-40, 40, (height, width)).astype(np.uint8)
    # Flat chroma: how it is brought to full size is the library's choice, the colour is not.
    u, v = (np.full(half, value, dtype=np.uint8) for value in (100, 150))
    planes = (y, u, v) if pixel_format == "yuv420p" else (y, np.stack([u, v], axis=-1))
    surface = Surface(pixel_format, planes, matrix, colour_range)
    rgb = rgb_of(surface)
    assert rgb.shape == (height, width, 3)
    assert np.abs(rgb - reference(surface)).max() < 4


def test_planes_need_not_lie_together():
    padded = np.zeros((48, 80), dtype=np.uint8)
    padded[:, :64] = np.arange(64)
    half = np.full((24, 40), 128, dtype=np.uint8)
    strided = Surface("yuv420p", (padded[:, :64], half[:, :32], half[:, :32]))
    plain = Surface("yuv420p", tuple(np.ascontiguousarray(plane) for plane in strided.planes))
    assert (rgb_of(strided) == rgb_of(plain)).all()


def test_rgb_is_copied():
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    rgb_of(Surface("rgb24", (pixels,)))[:] = 9
    assert (pixels == 0).all()
