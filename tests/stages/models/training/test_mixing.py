"""Pictures mixed with their truth: what boxes, regions, visibility and known classes say must hold of the result."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from stages.models.labelled.sample import FIRST_OBJECT, MAX_OBJECTS, Sample
from stages.models.training.mixing import copy_paste, mixup, mosaic

SEEDS = range(8)


def scene(seed: int, *, width: int = 160, height: int = 120, objects: int = 6, classes: int = 5) -> Sample:
    """Ellipses in colours of their own on two kinds of stuff, later ones before earlier ones; boxes are tight."""
    rng = np.random.default_rng(seed)
    regions = np.ones((height, width), np.uint8)
    regions[: height // 3] = 2
    whole = []
    for index in range(objects):
        centre = (int(rng.integers(10, width - 10)), int(rng.integers(10, height - 10)))
        axes = (int(rng.integers(5, 25)), int(rng.integers(5, 25)))
        alone = cv2.ellipse(np.zeros_like(regions), centre, axes, 0, 0, 360, 1, -1)
        regions[alone > 0] = FIRST_OBJECT + index
        whole.append(int(alone.sum()))
    paint = rng.integers(0, 256, (256, 3)).astype(np.uint8)
    counts = np.bincount(regions.ravel(), minlength=256)[FIRST_OBJECT : FIRST_OBJECT + objects]
    boxes = np.array([extent(regions == FIRST_OBJECT + index) for index in range(objects)], np.float32)
    visibility = np.array(counts / np.array(whole), np.float32)
    labels = rng.integers(0, classes, objects)
    return Sample(paint[regions], regions, boxes.reshape(-1, 4), labels, visibility)


def extent(mask: np.ndarray) -> list[float]:
    if not mask.any():
        return [0, 0, 0, 0]
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def assert_true(sample: Sample, *, slack: float = 1.01) -> None:
    """Shapes fit, every object's pixels lie in its box (a pixel of resampling aside), every box in the picture."""
    height, width = sample.regions.shape
    assert sample.image.shape == (height, width, 3)
    assert sample.image.dtype == sample.regions.dtype == np.uint8
    assert sample.boxes.dtype == sample.visibility.dtype == np.float32
    count = len(sample.labels)
    assert sample.boxes.shape == (count, 4)
    assert sample.visibility.shape == (count,)
    assert count <= MAX_OBJECTS
    assert sample.regions.max() < FIRST_OBJECT + count
    assert (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()
    assert (sample.boxes >= 0).all()
    assert (sample.boxes <= [width, height, width, height]).all()
    assert (sample.visibility >= 0).all()
    assert (sample.visibility <= 1.0001).all()
    for index, box in enumerate(sample.boxes):
        mask = sample.regions == FIRST_OBJECT + index
        if mask.any():
            inner = np.array(extent(mask))
            assert (inner[:2] >= box[:2] - slack).all()
            assert (inner[2:] <= box[2:] + slack).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mosaic_is_true_and_full(seed: int) -> None:
    samples = [scene(4 * seed + index, width=160 + 10 * index) for index in range(4)]
    mixed = mosaic(samples, np.random.default_rng(seed), width=128, height=96)
    assert mixed.regions.shape == (96, 128)
    assert_true(mixed)
    assert (mixed.regions > 0).mean() > 0.98  # void is only a sliver of an object whose box is cut away


def test_a_mosaic_shows_each_picture_in_its_quarter() -> None:
    samples = []
    for index in range(4):
        image = np.full((90, 90, 3), 40 * index + 20, np.uint8)
        samples.append(Sample(image, np.full((90, 90), 1 + index, np.uint8), *nothing()))
    mixed = mosaic(samples, np.random.default_rng(0), width=100, height=80)
    x = int((mixed.regions[0] == 1).sum())
    y = int((mixed.regions[:, 0] == 1).sum())
    assert 30 <= x <= 70
    assert 24 <= y <= 56
    expected = np.empty((80, 100), np.uint8)
    expected[:y, :x], expected[:y, x:], expected[y:, :x], expected[y:, x:] = 1, 2, 3, 4
    assert np.array_equal(mixed.regions, expected)
    assert np.array_equal(mixed.image[..., 0], 40 * (expected - 1) + 20)


def nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)


def test_a_mosaic_has_four_pictures() -> None:
    with pytest.raises(ValueError, match="3 pictures; a mosaic has 4"):
        mosaic([scene(0)] * 3, np.random.default_rng(0), width=64, height=64)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_object_cut_by_a_mosaic_is_less_visible(seed: int) -> None:
    alone = scene(seed, objects=1)
    mixed = mosaic([alone, *[scene(0, objects=0)] * 3], np.random.default_rng(seed), width=128, height=96)
    for box, visibility in zip(mixed.boxes, mixed.visibility, strict=True):
        inside = box[2] < mixed.regions.shape[1] and box[3] < mixed.regions.shape[0]
        assert inside
        assert visibility <= alone.visibility[0] + 1e-6


def test_many_objects_make_way_for_larger_ones() -> None:
    boxes = np.array([[4 * x, 4 * y, 4 * x + 3, 4 * y + 3] for y in range(10) for x in range(20)], np.float32)
    boxes[100:, 2:] -= 1
    regions = np.ones((48, 80), np.uint8)
    for index, (left, top, right, bottom) in enumerate(boxes.astype(int)):
        regions[top:bottom, left:right] = FIRST_OBJECT + index
    crowd = Sample(np.zeros((48, 80, 3), np.uint8), regions, boxes, np.zeros(200, np.int64), np.ones(200, np.float32))
    mixed = mixup(crowd, replace(crowd, regions=np.roll(regions, 1, 0)), np.random.default_rng(0))
    assert len(mixed.labels) == MAX_OBJECTS
    assert_true(mixed, slack=2)
    assert (mixed.visibility == 0).sum() == 1  # the one box around those that made way
    around = mixed.boxes[mixed.visibility == 0][0]
    assert around[3] == boxes[:, 3].max()
    sizes = (mixed.boxes[:-1, 2:] - mixed.boxes[:-1, :2]).prod(1)
    assert (sizes == 9).sum() == 200  # all large ones of both
    assert (mixed.regions == FIRST_OBJECT + MAX_OBJECTS - 1).sum() == 0  # whose pixels are void


def test_mixup_blends_and_keeps_both_truths() -> None:
    first, second = scene(1, objects=3), scene(2, objects=4)
    mixed = mixup(first, second, np.random.default_rng(3))
    assert_true(mixed)
    assert np.array_equal(mixed.boxes, np.concatenate([first.boxes, second.boxes]))
    assert np.array_equal(mixed.labels, np.concatenate([first.labels, second.labels]))
    assert np.array_equal(mixed.visibility, np.concatenate([first.visibility, second.visibility]))
    share = np.linalg.lstsq(
        np.stack([first.image.ravel(), second.image.ravel()], 1).astype(float), mixed.image.ravel().astype(float)
    )[0]
    assert share.sum() == pytest.approx(1, abs=0.01)
    assert share[0] >= 0.499
    for index in range(3):
        value = FIRST_OBJECT + index
        assert np.array_equal(mixed.regions == value, first.regions == value)


def test_mixup_leaves_out_masks_under_others_and_stuff_in_dispute() -> None:
    first = Sample(
        np.zeros((8, 8, 3), np.uint8),
        np.ones((8, 8), np.uint8),
        np.array([[0, 0, 4, 4]], np.float32),
        np.array([1]),
        np.ones(1, np.float32),
    )
    first.regions[:4, :4] = FIRST_OBJECT
    second = Sample(
        np.zeros((8, 8, 3), np.uint8),
        np.ones((8, 8), np.uint8),
        np.array([[3, 3, 6, 6], [6, 0, 8, 2]], np.float32),
        np.array([2, 3]),
        np.ones(2, np.float32),
    )
    second.regions[3:6, 3:6], second.regions[:2, 6:8], second.regions[6:] = FIRST_OBJECT, FIRST_OBJECT + 1, 2
    mixed = mixup(first, second, np.random.default_rng(0))
    expected = np.ones((8, 8), np.uint8)
    expected[3:6, 3:6] = 0  # an object under another: a box alone
    expected[:4, :4] = FIRST_OBJECT
    expected[:2, 6:8] = FIRST_OBJECT + 2
    expected[6:] = 0  # two kinds of stuff at once
    assert np.array_equal(mixed.regions, expected)
    assert len(mixed.boxes) == 3


def test_mixup_of_two_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="160x120 and 100x120"):
        mixup(scene(0), scene(0, width=100), np.random.default_rng(0))


@pytest.mark.parametrize("seed", SEEDS)
def test_pasted_objects_lie_over_others_and_all_stays_true(seed: int) -> None:
    sample, donor = scene(seed), scene(100 + seed, width=200)
    mixed = copy_paste(sample, donor, np.random.default_rng(seed), share=1.0)
    assert_true(mixed)
    changed = (mixed.image != sample.image).any(-1)
    objects = mixed.regions >= FIRST_OBJECT
    assert objects[changed].all()
    assert (mixed.regions[~objects] == sample.regions[~objects]).all()
    before = np.bincount(sample.regions.ravel(), minlength=256)
    for index in range(len(sample.labels)):
        mine = [i for i in range(len(mixed.labels)) if (mixed.image[mixed.regions == FIRST_OBJECT + i] ==
                sample.image[sample.regions == FIRST_OBJECT + index][0]).all()]  # fmt: skip
        if not mine:
            continue
        left = np.count_nonzero(mixed.regions == FIRST_OBJECT + mine[0]) / before[FIRST_OBJECT + index]
        assert mixed.visibility[mine[0]] == pytest.approx(sample.visibility[index] * left, rel=1e-4)
        assert extent(mixed.regions == FIRST_OBJECT + mine[0]) == mixed.boxes[mine[0]].tolist()


def test_what_is_wholly_covered_goes_and_what_has_no_mask_counts_by_its_box() -> None:
    donor = Sample(
        np.full((20, 20, 3), 255, np.uint8),
        np.full((20, 20), FIRST_OBJECT, np.uint8),
        np.array([[0, 0, 20, 20]], np.float32),
        np.array([4]),
        np.ones(1, np.float32),
    )
    sample = Sample(
        np.zeros((20, 40, 3), np.uint8),
        np.ones((20, 40), np.uint8),
        np.array([[0, 0, 40, 20], [18, 8, 20, 12]], np.float32),
        np.array([1, 2]),
        np.ones(2, np.float32),
    )
    sample.regions[8:12, 18:20] = FIRST_OBJECT + 1
    for seed in range(20):  # the donor's one object comes to lie over the small one sooner or later
        mixed = copy_paste(sample, donor, np.random.default_rng(seed), share=1.0, scales=(1.0, 1.0))
        if 2 not in mixed.labels:
            break
    assert mixed.labels.tolist() == [1, 4]
    assert mixed.visibility.tolist() == pytest.approx([0.5, 1.0])
    assert mixed.boxes[0].tolist() == [0, 0, 40, 20]


def test_hidden_objects_are_not_pasted_and_nothing_to_paste_changes_nothing() -> None:
    sample = scene(0)
    hidden = replace(scene(1), visibility=np.full(6, 0.3, np.float32))
    assert copy_paste(sample, hidden, np.random.default_rng(0), share=1.0) is sample
    assert copy_paste(sample, scene(0, objects=0), np.random.default_rng(0)) is sample


def test_known_classes_are_those_known_in_all() -> None:
    everything, some, others = None, np.array([True, True, False]), np.array([False, True, True])
    rng = np.random.default_rng(0)
    first, second = (replace(scene(0, classes=3), known=known) for known in (some, others))
    assert mixup(first, second, rng).known.tolist() == [False, True, False]
    assert mixup(first, replace(second, known=everything), rng).known.tolist() == some.tolist()
    assert mixup(*[replace(first, known=everything)] * 2, rng).known is None
    assert mosaic([first, second, first, first], rng, width=64, height=64).known.tolist() == [False, True, False]
    assert copy_paste(first, second, rng, share=1.0).known.tolist() == [False, True, False]


def test_one_seed_gives_one_picture() -> None:
    for mix in (lambda rng: copy_paste(scene(0), scene(1), rng), lambda rng: mixup(scene(0), scene(1), rng)):
        first, second = mix(np.random.default_rng(5)), mix(np.random.default_rng(5))
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.regions, second.regions)
