"""Windows in and around a picture: where they lie, what they show, and that the truth goes with them."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.training.augment import AugmentSettings, dress, view
from stages.models.training.windows import PADDING, framed, random_window, whole_window


def block() -> Sample:
    """A white block [20:40, 10:50] on black, 80 x 60 pixels."""
    image, regions = np.zeros((60, 80, 3), np.uint8), np.ones((60, 80), np.uint8)
    image[20:40, 10:50], regions[20:40, 10:50] = 255, FIRST_OBJECT
    return Sample(image, regions, np.array([[10, 20, 50, 40]], np.float32), np.array([0]), np.ones(1, np.float32))


def test_a_larger_window_has_grey_and_void_around_the_picture() -> None:
    view = framed(block(), (-40, -30, 120, 90), width=80, height=60)
    assert view.boxes.tolist() == [[25, 25, 45, 35]]
    assert view.visibility.tolist() == [1.0]
    inside = np.zeros((60, 80), bool)
    inside[15:45, 20:60] = True
    assert (view.image[~inside] == PADDING).all()
    assert (view.regions[~inside] == 0).all()
    assert (view.regions[inside] > 0).all()
    assert (view.regions[25:35, 25:45] == FIRST_OBJECT).all()


def test_a_window_over_an_edge_cuts_the_object_there() -> None:
    view = framed(block(), (30, 0, 110, 60), width=80, height=60)
    assert view.boxes.tolist() == [[0, 20, 20, 40]]
    assert view.visibility.tolist() == pytest.approx([0.5])
    assert (view.image[:, 50:] == PADDING).all()


def test_a_window_beside_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="shows nothing of a picture of 80x60"):
        framed(block(), (90, 0, 120, 60), width=32, height=32)


@pytest.mark.parametrize("seed", range(10))
def test_random_windows_keep_their_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, top, right, bottom = random_window(block(), rng, aspect=1.0, smallest=0.5, stretch=1.0)
    assert left >= 0
    assert right <= 80
    assert top >= 0
    assert bottom <= 60
    assert right - left == pytest.approx(bottom - top)
    assert 30 <= right - left <= 60
    wide = random_window(block(), rng, smallest=1.5, largest=1.5, stretch=1.0)
    assert wide[2] - wide[0] == pytest.approx(120)
    assert wide[0] <= 0
    assert wide[2] >= 80
    over = [random_window(block(), rng, smallest=0.9, overhang=0.4) for _ in range(30)]
    assert min(window[0] for window in over) < 0
    for window in over:
        assert framed(block(), window, width=32, height=32).regions.any()


def test_the_whole_picture_is_centred() -> None:
    assert whole_window(block()) == (0, 0, 80, 60)
    assert whole_window(block(), aspect=2.0) == (-20, 0, 100, 60)
    assert whole_window(block(), aspect=1.0) == (0, -10, 80, 70)


@pytest.mark.parametrize("seed", range(12))
def test_views_that_keep_shapes_show_a_square_as_one(seed: int) -> None:
    settings = AugmentSettings(smallest_window=0.9, largest_window=1.6, overhang=0.1, stretch=1.0)
    image = np.zeros((60, 80, 3), np.uint8)
    regions = np.ones((60, 80), np.uint8)
    regions[20:40, 30:50] = FIRST_OBJECT
    sample = Sample(image, regions, np.array([[30, 20, 50, 40]], np.float32), np.array([0]), np.ones(1, np.float32))
    rng = np.random.default_rng(seed)
    seen = dress(view(sample, rng, width=192, height=64, settings=settings), rng, settings=settings)
    rows, columns = np.nonzero(seen.regions == FIRST_OBJECT)
    if seen.visibility[0] > 0.999:
        sides = seen.boxes[0, 2:] - seen.boxes[0, :2]
        assert sides[0] == pytest.approx(sides[1], rel=0.08)
    if len(rows):
        assert columns.min() >= seen.boxes[0, 0] - 1.01
        assert columns.max() + 1 <= seen.boxes[0, 2] + 1.01
        assert rows.min() >= seen.boxes[0, 1] - 1.01
        assert rows.max() + 1 <= seen.boxes[0, 3] + 1.01
