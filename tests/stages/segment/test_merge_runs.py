"""Merging on runs against merging on pixels: the same map, the same table."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.messages import (
    Batch,
    Classes,
    Detections,
    Frame,
    LabelMap,
    PanopticMap,
    PanopticRuns,
    Surface,
    Transform,
    runs_of,
)
from pipeline.wire import encode_result
from stages.segment import PanopticMerge
from stages.segment.merge import merge_boxes
from stages.segment.panoptic import VOID
from tests.pipeline.wire.samples import make_result

CLASSES = Classes(("a", "b", "c"), ("d", "e"))
CHANNELS = [0, 1, 2, 3, 4, None]  # the last is void
OPTIONS = {"score_threshold": 0.3, "max_overlap": 0.4, "min_stuff_area": 0.05}
SURFACE = Surface("rgb24", (np.zeros((4, 4, 3), np.uint8),))


def scene(seed: int) -> tuple[LabelMap, Detections]:
    """Patches of labels of odd and even width, boxes that reach outside and cover each other, equal scores."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(1, 20)), int(rng.choice([1, 7, 8, 16, 40, 61]))
    patches = rng.integers(0, 6, (height, -(-width // 4)))
    channels = np.repeat(patches, 4, axis=1)[:, :width]
    noise = rng.random(channels.shape) < rng.choice([0, 0.02, 0.3, 1])
    channels = np.where(noise, rng.integers(0, 6, channels.shape), channels).astype(np.uint8)
    transform = Transform(4.0, 3.0, 2.5, -1.0)
    count = int(rng.integers(0, 12))
    centre, size = rng.uniform(-2, (width + 2, height + 2), (count, 2)), rng.uniform(0, (width, height), (count, 2))
    boxes = transform.apply(np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32))
    scores = rng.choice(np.array([0.2, 0.3, 0.5, 0.8, 0.9], np.float32), count)
    return LabelMap(channels, transform), Detections.of(boxes, scores, rng.integers(0, 3, count).astype(np.int32))


def stage(**changes: object) -> PanopticMerge:
    options: dict[str, object] = {"classes": CLASSES, "semantic_labels": CHANNELS, "rule": "boxes", **OPTIONS}
    return PanopticMerge(**(options | changes))  # type: ignore[arg-type]


def merged(by: PanopticMerge, found: LabelMap, detections: Detections) -> PanopticMap:
    frame = Frame("a", 1, 0, 0, Fraction(1, 25), 0, "host", 0, SURFACE)
    panoptic = by(Batch((frame,), detections=(detections,), semantic=(found,))).panoptic
    assert panoptic is not None
    return panoptic[0]


@pytest.mark.parametrize("seed", range(300))
def test_equals_the_merge_of_pixels(seed: int) -> None:
    found, detections = scene(seed)
    label_at = np.where(found.channels == 5, -1, found.channels).astype(np.int32)
    theirs = merge_boxes(detections, label_at, classes=CLASSES, transform=found.transform, **OPTIONS)
    ours = merged(stage(), found, detections)
    assert isinstance(ours, PanopticRuns)
    assert (ours.height, ours.width) == found.channels.shape
    assert ours.ids.dtype == theirs.ids.dtype
    assert ours.ids.tolist() == theirs.ids.tolist()
    for column in fields(theirs.segments):
        left, right = getattr(ours.segments, column.name), getattr(theirs.segments, column.name)
        assert left.dtype == right.dtype, column.name
        assert left.tolist() == right.tolist(), column.name
    lengths, values = runs_of(theirs.ids)
    assert (ours.lengths.tolist(), ours.values.tolist()) == (lengths.tolist(), values.tolist())


def test_its_runs_are_coded_without_its_pixels() -> None:
    found, detections = scene(7)
    ours = merged(stage(), found, detections)
    result = replace(make_result(), panoptic=ours)
    coded = encode_result(result, "masks")
    assert ours._pixels is None  # type: ignore[attr-defined]
    pixels = replace(result, panoptic=PanopticMap(ours.ids, ours.segments, ours.transform))
    assert coded == encode_result(pixels, "masks")


def test_channels_may_share_a_label_or_have_none() -> None:
    channels = np.array([[0, 1, 2, 3]], np.uint8)
    by = stage(semantic_labels=[3, 3, None], min_stuff_area=0.0)
    ours = merged(by, LabelMap(channels, Transform()), Detections.empty())
    assert ours.ids.tolist() == [[1, 1, 0, 0]]
    assert ours.segments.labels.tolist() == [3]


def test_other_rules_and_more_labels_than_fit_are_refused() -> None:
    found, detections = scene(1)
    with pytest.raises(ModelError, match="rule 'boxes'"):
        merged(stage(rule="instances"), found, detections)
    many = Classes(tuple(f"{i}" for i in range(VOID + 1)))
    with pytest.raises(ModelError, match="below 255"):
        merged(stage(classes=many, semantic_labels=range(VOID + 1)), found, detections)


def test_the_table_changes_without_the_pixels_being_made() -> None:
    found, detections = scene(12)
    ours = merged(stage(), found, detections)
    changed = ours.with_segments(ours.segments[:0])
    assert isinstance(changed, PanopticRuns)
    assert len(changed.segments) == 0
    assert changed._pixels is None
