"""Segment maps as samples: numbering, classes, crowds, and more objects than can be numbered."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.labelled.outlines import Outlined, sample_of_outlines
from stages.models.labelled.sample import FIRST_OBJECT, MAX_OBJECTS
from stages.models.labelled.segments import Segments, known_things, sample_of_segments
from tests.stages.models.labelled.making import STREET

PERSON, CAR, ROAD, SKY = range(4)


def image(height: int = 6, width: int = 8) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_stuff_is_pixels_and_things_are_objects_with_tight_boxes() -> None:
    segment_map = np.array([[1, 1, 2, 2], [3, 3, 2, 0], [5, 5, 5, 5]], np.int32)
    segments = Segments.of([SKY, CAR, PERSON, CAR, -1], [False, False, True, False, False])
    sample = sample_of_segments(image(3, 4), segment_map, segments, STREET)
    assert sample.regions.tolist() == [[2, 2, 16, 16], [17, 17, 16, 0], [0, 0, 0, 0]]
    assert sample.boxes.tolist() == [[2, 0, 4, 2], [0, 1, 2, 2]]  # a car without pixels is not there
    assert sample.labels.tolist() == [CAR, PERSON]
    assert sample.visibility.tolist() == [1, 0]


def test_without_anything_a_sample_is_void() -> None:
    sample = sample_of_segments(image(), np.zeros((6, 8), np.int32), Segments.of([], []), STREET)
    assert sample.boxes.shape == (0, 4)
    assert not sample.regions.any()


def block(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((6, 8), bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_smaller_is_in_front_and_a_crowd_behind_all(order: tuple[int, ...]) -> None:
    told = [
        Outlined(PERSON, (0, 0, 8, 6), block(0, 0, 8, 6)),
        Outlined(CAR, (2, 2, 4, 4), block(2, 2, 4, 4)),
        Outlined(PERSON, (3, 3, 4, 4), block(3, 3, 4, 4), crowd=True),
    ]
    sample = sample_of_outlines(image(), [told[n] for n in order], STREET, None)
    assert sample.regions[2, 2] == FIRST_OBJECT + order.index(1)
    assert sample.regions[3, 3] == FIRST_OBJECT + order.index(1)
    assert sample.regions[0, 0] == FIRST_OBJECT + order.index(0)
    assert sample.visibility[order.index(2)] == 0


def test_an_object_without_a_mask_has_a_box_alone() -> None:
    sample = sample_of_outlines(image(), [Outlined(CAR, (1, 1, 3, 3), None)], STREET, None)
    assert sample.boxes.tolist() == [[1, 1, 3, 3]]
    assert not sample.regions.any()


def test_of_too_many_objects_the_largest_are_kept_and_the_rest_ignored() -> None:
    side = 20  # 400 objects of 8 x 8 pixels with a gap; the first hundred are smaller
    size = side * 10
    segment_map = np.zeros((size, size), np.int32)
    for number in range(side * side):
        row, column = divmod(number, side)
        extent = 4 if number < 100 else 8
        segment_map[row * 10 : row * 10 + extent, column * 10 : column * 10 + extent] = number + 1
    segments = Segments.of([CAR if n % 2 else PERSON for n in range(400)], [False] * 400)
    sample = sample_of_segments(image(size, size), segment_map, segments, STREET)
    assert len(sample.labels) <= MAX_OBJECTS
    own = sample.visibility == 1
    assert own.sum() == MAX_OBJECTS - 16
    assert ((sample.boxes[own, 2:] - sample.boxes[own, :2]) == 8).all()
    ignored = sample.boxes[~own]
    for number in range(400):  # each object is kept, or lies in an ignored box
        row, column = divmod(number, side)
        inside = (ignored[:, :2] <= (column * 10, row * 10)).all(1) & (
            ignored[:, 2:] >= (column * 10 + 4, row * 10 + 4)
        ).all(1)
        value = sample.regions[row * 10, column * 10]
        assert inside.any() or sample.visibility[value - FIRST_OBJECT] == 1
        if value:
            assert sample.labels[value - FIRST_OBJECT] == (CAR if number % 2 else PERSON)


def test_known_are_the_things_that_the_labels_name_unless_the_recipe_says_more() -> None:
    assert known_things(STREET, {"van", "person", "tree"}, None) is None
    assert known_things(STREET, {"van", "street"}, None).tolist() == [False, True]
    assert known_things(STREET, {"van", "person"}, ["person"]).tolist() == [True, False]
    assert known_things(STREET, {"van", "person"}, []).tolist() == [False, False]


@pytest.mark.parametrize("seed", range(5))
def test_masks_are_painted_as_if_every_pixel_were_asked(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = 20, 30
    objects = [Outlined(CAR, (0, 0, 2, 2), np.zeros((height, width), bool))]
    for _ in range(8):
        (top, bottom), (left, right) = np.sort(rng.integers(0, height + 1, 2)), np.sort(rng.integers(0, width + 1, 2))
        mask = np.zeros((height, width), bool)
        mask[top:bottom, left:right] = rng.random((bottom - top, right - left)) < 0.7
        objects.append(Outlined(int(rng.integers(0, 2)), (0, 0, 2, 2), mask, bool(rng.random() < 0.3)))
    expected = np.zeros((height, width), np.uint8)
    for row, column in np.ndindex(height, width):
        here = [
            (one.crowd, np.count_nonzero(one.mask), number)
            for number, one in enumerate(objects)
            if one.mask is not None and one.mask[row, column]
        ]
        expected[row, column] = FIRST_OBJECT + min(here)[2] if here else 0
    assert (sample_of_outlines(image(height, width), objects, STREET, None).regions == expected).all()
