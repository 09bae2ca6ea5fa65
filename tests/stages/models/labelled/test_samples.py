"""Samples through cache and augmentation: what the truth says must stay true of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.models.labelled.sample import FIRST_OBJECT, Sample, pack, unpack
from stages.models.labelled.views import is_ignored, mirror, object_masks, resample
from stages.models.labelled.world import load, sample_of, save
from stages.models.training.augment import AugmentSettings, dress, repaint, view
from stages.models.training.losses import VOID
from stages.models.training.targets import target_of
from stages.models.world import WorldFrame


def street() -> Sample:
    """Sky above road, a red car [40:80, 30:50] and a person of 4 px width, on 96 x 64 pixels."""
    image = np.full((64, 96, 3), 90, np.uint8)
    regions = np.ones((64, 96), np.uint8)
    image[:20], regions[:20] = (120, 160, 220), 4
    image[30:50, 40:80], regions[30:50, 40:80] = (200, 30, 30), FIRST_OBJECT
    image[30:50, 8:12], regions[30:50, 8:12] = (30, 30, 200), FIRST_OBJECT + 1
    boxes = np.array([[40, 30, 80, 50], [8, 30, 12, 50]], np.float32)
    return Sample(image, regions, boxes, np.array([2, 0]), np.ones(2, np.float32))


def tight_box(sample: Sample, index: int) -> list[int]:
    rows, columns = np.nonzero(sample.regions == FIRST_OBJECT + index)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_packing_keeps_the_truth_exactly_and_the_picture_nearly() -> None:
    sample = street()
    again = unpack(pack(sample))
    assert np.array_equal(again.regions, sample.regions)
    assert np.array_equal(again.boxes, sample.boxes)
    assert np.abs(again.image.astype(int) - sample.image).mean() < 4


def test_a_cache_file_reads_back(tmp_path: Path) -> None:
    empty = Sample(
        street().image, street().regions, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32)
    )
    save([pack(street()), pack(empty), pack(street())], tmp_path / "worlds-0000000-1.npz")
    samples = load(tmp_path / "worlds-0000000-1.npz")
    assert [len(sample.labels) for sample in samples] == [2, 0, 2]
    assert np.array_equal(unpack(samples[2]).regions, street().regions)


def test_world_ids_become_bytes() -> None:
    ids = np.array([[0, 1, 5, 1007, 1003]], np.int32)
    frame = WorldFrame(
        np.zeros((1, 5, 3), np.uint8),
        np.array([[3, 0, 4, 1], [4, 0, 5, 1]], np.float32),
        np.array([2, 0]),
        np.array([7, 3]),
        ids,
        np.ones(2, np.float32),
    )
    assert sample_of(frame).regions.tolist() == [[0, 1, 5, FIRST_OBJECT, FIRST_OBJECT + 1]]


def test_a_mirrored_box_is_still_tight() -> None:
    mirrored = mirror(street())
    for index in range(2):
        assert mirrored.boxes[index].tolist() == tight_box(mirrored, index)


def test_a_window_scales_boxes_and_lowers_visibility_of_what_it_cuts() -> None:
    window = resample(street(), (0, 0, 60, 64), width=120, height=128)
    assert window.boxes[0].tolist() == [80, 60, 120, 100]
    assert window.boxes[0].tolist() == tight_box(window, 0)
    assert window.visibility.tolist() == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize("seed", range(6))
def test_augmented_boxes_stay_around_their_objects(seed: int) -> None:
    rng, settings = np.random.default_rng(seed), AugmentSettings()
    seen = dress(view(street(), rng, width=192, height=128, settings=settings), rng, settings=settings)
    assert seen.image.shape == (128, 192, 3)
    assert seen.image.dtype == np.uint8
    for index in range(2):
        if (seen.regions == FIRST_OBJECT + index).any() and seen.visibility[index] > 0.2:
            assert np.abs(np.array(tight_box(seen, index)) - seen.boxes[index]).max() <= 3


def test_repainting_changes_whole_segments_and_no_others() -> None:
    sample = street()
    image = repaint(sample, np.random.default_rng(1), chance=0.5)
    changed = {int(v): bool((image != sample.image)[sample.regions == v].any()) for v in np.unique(sample.regions)}
    assert set(changed.values()) == {True, False}
    for value in changed:
        assert len(np.unique(image[sample.regions == value], axis=0)) == 1  # one colour before, one colour after
    assert np.array_equal(repaint(sample, np.random.default_rng(1), chance=0.0), sample.image)


def test_repainting_survives_an_object_at_the_very_edge() -> None:
    sample = street()
    sample.boxes[0] = (96, 30, 96, 50)
    assert repaint(sample, np.random.default_rng(0), chance=1.0).shape == sample.image.shape


def test_thin_and_hidden_objects_are_ignored() -> None:
    sample = street()
    assert is_ignored(sample).tolist() == [False, True]
    assert is_ignored(sample, scale=2).tolist() == [False, False]
    hidden = Sample(sample.image, sample.regions, sample.boxes, sample.labels, np.array([0.1, 1], np.float32))
    assert is_ignored(hidden, scale=2).tolist() == [True, False]


def test_targets_leave_ignored_objects_out_of_boxes_and_instances() -> None:
    target = target_of(street(), things=5)
    assert target.boxes.tolist() == [[40, 30, 80, 50]]
    assert target.ignored.tolist() == [[8, 30, 12, 50]]
    assert target.labels.tolist() == [2]
    assert target.instances.unique().tolist() == [0, 1]
    assert target.semantic.unique().tolist() == [0, 2, 5, 8]  # person and car, road and sky; the ignored person too
    assert target.semantic[0, 0] != VOID


def test_object_masks_number_from_one() -> None:
    regions = np.array([[0, 3, FIRST_OBJECT, FIRST_OBJECT + 2]], np.uint8)
    assert object_masks(regions).tolist() == [[0, 0, 1, 3]]
