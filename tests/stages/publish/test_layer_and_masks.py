import cv2
import numpy as np
import pytest

from pipeline.messages import Transform
from stages.publish.layer import Layer, dashes, panel, rounded
from stages.publish.masks import STUFF_OPACITY, outlines, tinted_ground
from tests.stages.publish.scenes import PERSON, ROAD, SKY, panoptic, picture


def test_a_layer_mixes_as_the_formula_says():
    layer = Layer.clear(40, 30)
    layer.fill([np.array([[10, 10], [30, 10], [30, 20], [10, 20]], dtype=float)], (200, 100, 0), 0.25)
    over = layer.over(picture(40, 30, grey=80)).astype(float)
    assert np.abs(over[15, 20] - (0.25 * np.array([200, 100, 0]) + 0.75 * 80)).max() <= 1
    assert (over[5, 5] == 80).all()


def test_a_later_fill_replaces_an_earlier_one():
    layer = Layer.clear(20, 20)
    whole = [np.array([[0, 0], [20, 0], [20, 20], [0, 20]], dtype=float)]
    layer.fill(whole, (255, 0, 0), 1.0)
    layer.fill(whole, (0, 0, 255), 0.5)
    assert np.abs(layer.over(picture(20, 20, grey=100))[10, 10].astype(int) - [50, 50, 178]).max() <= 1


def test_round_corners_stay_in_the_box_and_touch_all_its_sides():
    outline = rounded((10, 20, 50, 40), 6)
    assert np.allclose([*outline.min(axis=0), *outline.max(axis=0)], [10, 20, 50, 40])
    assert np.allclose(rounded((0, 0, 4, 4), 100).max(axis=0), 4)  # a radius too large becomes a circle


def test_dashes_cover_half_of_the_outline():
    square = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], dtype=float)
    strokes = dashes(square, 10)
    assert len(strokes) == 20
    assert sum(np.hypot(*np.diff(stroke, axis=0).T).sum() for stroke in strokes) == pytest.approx(200, rel=0.05)


def test_a_panel_outside_the_picture_draws_nothing():
    rgb = picture(20, 20)
    panel(rgb, (30, 30, 60, 40), 3, (255, 0, 0), 0.9)
    panel(rgb, (-60, -40, -30, -30), 3, (255, 0, 0), 0.9)
    assert (rgb == 120).all()


@pytest.mark.parametrize(
    ("size", "transform"),
    [
        ((320, 180), Transform(8, 9)),  # the whole map is the picture
        ((320, 180), Transform(10, 10, 0, -10)),  # rows above and below the picture are letterbox
        ((319, 181), Transform(9.1, 9.7, -12.5, 3.25)),
        ((320, 180), Transform(3, 3, 20, 30)),  # the map covers a part; its edge goes on
    ],
)
def test_ground_is_tinted_where_the_map_says(size, transform):
    """Against the slow way: every pixel looked up in the map, compared where its neighbours agree."""
    width, height = size
    ids = np.zeros((20, 40), dtype=np.uint16)
    ids[:8, 4:36], ids[10:, 20:] = 1, 2
    shown = panoptic(ids, [], stuff=[SKY, ROAD], transform=transform)
    layer = tinted_ground(shown, {1: (200, 100, 50), 2: (10, 20, 250)}, width=width, height=height)
    drawn = layer.over(picture(width, height, grey=100)).astype(float)
    assert drawn.shape == (height, width, 3)
    table = np.array([[100, 100, 100], [200, 100, 50], [10, 20, 250]], dtype=float)
    opacity = np.array([0, STUFF_OPACITY, STUFF_OPACITY])
    wanted = shown.at_size(width, height)
    expected = 100 + (table[wanted] - 100) * opacity[wanted][..., None]
    reach = np.ones((2 * int(transform.scale_y) + 1, 2 * int(transform.scale_x) + 1), np.uint8)
    sure = cv2.erode(wanted, reach) == cv2.dilate(wanted, reach)
    assert sure.mean() > 0.2
    assert np.abs(drawn - expected)[sure].max() <= 2


def test_an_outline_follows_its_segment_at_any_scale():
    ids = np.zeros((90, 160), dtype=np.uint16)
    cv2.circle(ids, (80, 45), 30, 1, -1)
    for scale in (1.0, 2.5, 8.0):
        shown = panoptic(ids, [PERSON], transform=Transform(scale, scale, 5, 7))
        (outline,) = outlines(shown, 1)
        radius = np.hypot(outline[:, 0] - (80.5 * scale + 5), outline[:, 1] - (45.5 * scale + 7))
        assert np.abs(radius - 30 * scale).max() < 1.2 * scale


def test_a_hole_has_its_own_outline_and_an_absent_segment_none():
    ids = np.zeros((60, 60), dtype=np.uint16)
    ids[10:50, 10:50] = 1
    ids[25:35, 25:35] = 0
    shown = panoptic(ids, [PERSON])
    assert len(outlines(shown, 1)) == 2
    assert outlines(shown, 9) == []


def test_a_segment_one_pixel_wide_keeps_an_outline():
    ids = np.zeros((40, 40), dtype=np.uint16)
    ids[5:35, 20] = 1
    assert outlines(panoptic(ids, [PERSON], transform=Transform(8, 8)), 1)
