"""Views of a picture, and what they give laid over each other: a stage that finds one colour, seen from all sides."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.messages import Batch, Detections, Prototypes, SemanticMap, Transform
from stages.models.evaluation.augmentation import Augmentation, Augmented, View, cut, joined, to_picture
from stages.models.evaluation.subject import frame_of
from tests.stages.models.evaluation.made import found

WIDTH, HEIGHT = 80, 48


class FindsRed:
    """The box around red pixels; a prototype and two semantic scores at half the size that show where they are."""

    name, stateful, needs, adds = "detect", False, frozenset({"frames"}), frozenset({"detections"})

    def __init__(self, *, masks: bool = True) -> None:
        self.masks = masks
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, batch: Batch) -> Batch:
        (frame,) = batch.frames
        red = frame.surface.planes[0][..., 0] == 255
        self.sizes.append((frame.width, frame.height))
        rows, columns = np.nonzero(red)
        boxes = np.zeros((0, 4), np.float32)
        if len(rows):
            boxes = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        scores, labels = np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int32)
        if not self.masks:
            return batch.with_(detections=(Detections.of(boxes, scores, labels),))
        half = red[::2, ::2].astype(np.float32)
        coefficients = np.full((len(boxes), 1), 2.0, np.float32)
        shown = (Transform(2, 2, 0, 0), *half.shape)
        return batch.with_(
            detections=(Detections.of(boxes, scores, labels, coefficients=coefficients),),
            prototypes=(Prototypes(half[None], *shown),),
            semantic=(SemanticMap(np.stack([half, 1 - half]), *shown),),
        )


def picture() -> np.ndarray:
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[10:22, 12:32, 0] = 255
    return rgb


def looked(augmentation: Augmentation, *, masks: bool = True) -> tuple[Batch, FindsRed]:
    detect = FindsRed(masks=masks)
    return Augmented(detect, augmentation)(Batch((frame_of(picture()),))), detect  # type: ignore[arg-type]


def test_views_cover_the_picture_and_stand_inside_it() -> None:
    views = Augmentation(scales=(1.0, 1.5, 0.5), mirror=True).views(90, 60)
    whole, parts, smaller = views[0], views[1:5], views[5]
    assert whole == View(0, 0, 90, 60, False)
    assert [view[:4] for view in parts] == [(0, 0, 60, 40), (30, 0, 60, 40), (0, 20, 60, 40), (30, 20, 60, 40)]
    assert smaller == View(-45, -30, 180, 120, False)
    assert [view.mirrored for view in views] == [False] * 6 + [True] * 6


def test_a_mirrored_view_finds_the_same_place() -> None:
    batch, detect = looked(Augmentation(mirror=True))
    assert detect.sizes == [(WIDTH, HEIGHT)] * 2
    np.testing.assert_allclose(batch.detections[0].boxes, [[12, 10, 32, 22]] * 2)


def test_larger_and_smaller_views_find_the_same_place() -> None:
    batch, detect = looked(Augmentation(scales=(0.5, 1.25)))
    assert detect.sizes == [(80, 48), (160, 96), *[(64, 38)] * 4]
    # Parts that cut the object, or do not show it, say nothing.
    np.testing.assert_allclose(batch.detections[0].boxes, [[12, 10, 32, 22]] * 3)


def test_masks_of_every_view_are_laid_where_the_object_is() -> None:
    batch, _ = looked(Augmentation(scales=(0.5,), mirror=True))
    detections, prototypes = batch.detections[0], batch.prototypes[0]
    assert prototypes.masks.shape == (4, HEIGHT // 2, WIDTH // 2)
    inside = np.zeros((HEIGHT // 2, WIDTH // 2), np.bool_)
    inside[5:11, 6:16] = True
    for row in range(4):
        drawn = np.tensordot(detections.coefficients[row], prototypes.masks, 1)
        assert ((drawn > 1) == inside).mean() > 0.98, row
    assert np.count_nonzero(detections.coefficients) == 4


def test_semantic_scores_are_the_mean_of_the_views_that_see_a_pixel() -> None:
    batch, _ = looked(Augmentation(scales=(1.25,), mirror=True))
    scores = batch.semantic[0].logits
    assert scores.shape == (2, HEIGHT // 2, WIDTH // 2)
    np.testing.assert_allclose(scores.sum(0), 1.0, atol=1e-5)
    assert scores[0, 7, 10] == pytest.approx(1.0)
    assert scores[0, 20, 30] == pytest.approx(0.0)


def test_a_detector_without_masks_gives_boxes_alone() -> None:
    batch, _ = looked(Augmentation(mirror=True), masks=False)
    assert len(batch.detections[0]) == 2
    assert batch.prototypes is None
    assert batch.semantic is None


def test_boxes_cut_by_an_inner_edge_are_dropped_and_by_the_pictures_edge_are_not() -> None:
    view = View(30, 0, 60, 40, True)
    detections = found(
        np.array([[0, 5, 10, 15], [50, 5, 60, 15], [20, 0, 30, 10], [20, 30, 30, 40]]), [0] * 4, [0.9] * 4
    )
    # The view is mirrored: its left edge is the picture's right one; its lower edge lies within the picture.
    kept = to_picture(detections, view, width=90, height=60)
    np.testing.assert_allclose(kept.boxes, [[80, 5, 90, 15], [60, 0, 70, 10]])


def test_cut_pads_with_grey() -> None:
    seen = cut(picture(), View(-4, -2, WIDTH + 8, HEIGHT + 4, False))
    assert seen.shape == (HEIGHT + 4, WIDTH + 8, 3)
    assert (seen[:2] == 114).all()
    assert (seen[2:-2, 4:-4] == picture()).all()


def test_nothing_found_in_any_view_is_ordinary() -> None:
    nothing = joined([Detections.empty(), Detections.empty()], blocks=True)
    assert len(nothing) == 0


@pytest.mark.parametrize("scale", [0.0, 0.2, 4.5, float("nan")])
def test_scales_that_cannot_be_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match=r"scale .*; 0.25 to 4 can be taken"):
        Augmentation(scales=(scale,))
