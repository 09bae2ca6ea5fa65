"""The panoptic merge as a stage."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.messages import Batch, Classes, Detections, Frame, Prototypes, SemanticMap, Surface, Transform
from pipeline.stage import Stage
from stages.segment.panoptic import PanopticMerge

CLASSES = Classes(("person",), ("road",))
SURFACE = Surface(format="rgb24", planes=(np.zeros((8, 16, 3), np.uint8),))
FRAME = Frame("a", 1, 0, 0, Fraction(1, 25), 0, "pts", 0, SURFACE)
QUARTER = Transform(4, 4)


def batch(*, prototypes: bool) -> Batch:
    """One frame of 16 × 8 whose right half is a person on a road, and an empty one."""
    logits = np.zeros((2, 2, 4), np.float32)
    logits[0, :, 2:] = 5
    logits[1, :, :2] = 5
    masks = logits[:1] - 2
    detections = Detections.of(
        np.array([[8, 0, 16, 8]], np.float32),
        np.array([0.9], np.float32),
        np.zeros(1, np.int32),
        coefficients=np.ones((1, 1), np.float32),
    )
    return Batch(
        frames=(FRAME, FRAME),
        detections=(detections, Detections.empty()),
        semantic=(SemanticMap(logits, QUARTER, 2, 4),) * 2,
        prototypes=(Prototypes(masks, QUARTER, 2, 4),) * 2 if prototypes else None,
    )


@pytest.mark.parametrize("rule", ["instances", "boxes"])
@pytest.mark.parametrize("scale", [1, 2])
def test_both_rules_see_the_person(rule: str, scale: int) -> None:
    stage = PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule=rule, scale=scale)  # type: ignore[arg-type]
    assert isinstance(stage, Stage)
    panoptic = stage(batch(prototypes=rule == "instances")).panoptic
    assert panoptic is not None
    first, second = panoptic
    assert first.ids.shape == (2 * scale, 4 * scale)
    assert first.segments.labels.tolist() == [0, 1]
    assert first.segments.boxes.tolist() == [[8, 0, 16, 8], [0, 0, 8, 8]]
    assert first.at_size(16, 8)[0].tolist() == [2] * 8 + [1] * 8
    assert second.segments.labels.tolist() == [1]  # the person nobody detected is void
    assert (second.ids[:, 2 * scale :] == 0).all()


def test_leftover_stuff_fills_the_map() -> None:
    stage = PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule="instances", leftover="stuff")
    panoptic = stage(batch(prototypes=True)).panoptic
    assert panoptic is not None
    assert (panoptic[1].ids == 1).all()


def test_needs_follow_the_rule() -> None:
    instances = PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule="instances")
    boxes = PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule="boxes")
    assert instances.needs == {"detections", "semantic", "prototypes"}
    assert boxes.needs == {"detections", "semantic"}
    assert instances.adds == boxes.adds == {"panoptic"}
    assert not instances.stateful


def test_read_only_maps_are_taken() -> None:
    given = batch(prototypes=True)
    assert given.semantic is not None
    assert given.prototypes is not None
    given.semantic[0].logits.setflags(write=False)
    given.prototypes[0].masks.setflags(write=False)
    stage = PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule="instances")
    assert stage(given).panoptic is not None


def test_a_network_with_other_channels_is_named() -> None:
    stage = PanopticMerge(classes=CLASSES, semantic_labels=[0, 1, None], rule="boxes")
    with pytest.raises(ModelError, match="gives 2 channels; 3 are named"):
        stage(batch(prototypes=False))


def test_maps_that_do_not_meet_are_named() -> None:
    given = batch(prototypes=True)
    other = (Prototypes(np.zeros((1, 2, 4), np.float32), QUARTER, 2, 3),) * 2
    stage = PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule="instances")
    with pytest.raises(ModelError, match="do not show the same pixels"):
        stage(given.with_(prototypes=other))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="rule is 'both'; one of instances, boxes"):
        PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scale is 0"):
        PanopticMerge(classes=CLASSES, semantic_labels=[0, 1], rule="boxes", scale=0)
