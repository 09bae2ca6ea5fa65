"""The compiled merge against plain Python, one pixel at a time, on random scenes of odd sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from pipeline.messages import Classes, Detections, PanopticMap, Prototypes, SemanticMap, Transform
from stages.segment.merge import (
    channel_labels,
    label_pixels,
    merge_boxes,
    merge_instances,
    merge_prototypes,
    merge_queries,
)

CLASSES = Classes(("person", "bicycle", "car"), ("road", "sky"))
CHANNELS = [0, 2, 3, None, 4]
THRESHOLD, MAX_OVERLAP, MIN_STUFF = 0.3, 0.5, 0.05
OPTIONS = {"score_threshold": THRESHOLD, "max_overlap": MAX_OVERLAP, "min_stuff_area": MIN_STUFF}

Mask = set[tuple[int, int]]


def interpolated(plane: np.ndarray, y: int, x: int, scale: int) -> np.float32:
    """A pixel of a plane [h, w] enlarged linearly: along the row first, as float32."""
    one = np.float32(1)

    def taps(position: int, length: int) -> tuple[int, int, np.float32]:
        centre = (position + 0.5) / scale - 0.5
        low = math.floor(centre)
        return max(low, 0), min(low + 1, length - 1), np.float32(centre - low)

    left, right, across = taps(x, plane.shape[1])
    top, bottom, down = taps(y, plane.shape[0])
    upper = plane[top, left] * (one - across) + plane[top, right] * across
    lower = plane[bottom, left] * (one - across) + plane[bottom, right] * across
    return np.float32(upper * (one - down) + lower * down)


def slow_labels(semantic: SemanticMap, scale: int) -> np.ndarray:
    """The label of the largest logit at each pixel."""
    valid = semantic.logits[:, : semantic.valid_height, : semantic.valid_width]
    out = np.empty((valid.shape[1] * scale, valid.shape[2] * scale), dtype=np.int32)
    for y, x in np.ndindex(out.shape):
        values = [interpolated(plane, y, x, scale) for plane in valid]
        label = CHANNELS[values.index(max(values))]
        out[y, x] = -1 if label is None else label
    return out


def slow_merge(mask_of: Callable[[int], Mask], detections: Detections, label_at: np.ndarray) -> list[tuple]:
    """Segments as (label, detection, pixels), in order of painting: rules a and b differ only in their masks."""
    free = set(np.ndindex(label_at.shape))
    segments: list[tuple] = []
    for n in sorted(range(len(detections)), key=lambda n: (-detections.scores[n], n)):
        mask = mask_of(n)
        if detections.scores[n] < np.float32(THRESHOLD) or not mask:
            continue
        if len(mask - free) / len(mask) > MAX_OVERLAP or not mask & free:
            continue
        segments.append((int(detections.labels[n]), n, mask & free))
        free -= mask
    for label in range(len(CLASSES.things), len(CLASSES.names)):
        pixels = {p for p in free if label_at[p] == label}
        if pixels and len(pixels) >= MIN_STUFF * label_at.size:
            segments.append((label, -1, pixels))
    return segments


def in_box(box: np.ndarray, shape: tuple[int, ...]) -> Mask:
    """Pixels whose centres lie in a box, its right and lower edge excluded."""
    return {(y, x) for y, x in np.ndindex(shape) if box[0] <= x + 0.5 < box[2] and box[1] <= y + 0.5 < box[3]}


def check(out: PanopticMap, expected: list[tuple], detections: Detections) -> None:
    """The map and every column of its table."""
    s = out.segments
    assert s.labels.tolist() == [label for label, _, _ in expected]
    assert s.detection_index.tolist() == [n for _, n, _ in expected]
    assert s.ids.tolist() == list(range(1, len(expected) + 1))
    assert (out.ids > 0).sum() == sum(len(pixels) for _, _, pixels in expected)
    for i, (label, n, pixels) in enumerate(expected):
        assert {(int(y), int(x)) for y, x in np.argwhere(out.ids == i + 1)} == pixels
        assert s.areas[i] == len(pixels)
        assert s.is_thing[i] == (label < len(CLASSES.things))
        assert s.scores[i] == (detections.scores[n] if n >= 0 else 1)
        ys, xs = {y for y, _ in pixels}, {x for _, x in pixels}
        tight = np.array([[min(xs), min(ys), max(xs) + 1, max(ys) + 1]], np.float32)
        assert s.boxes[i] == pytest.approx(out.transform.apply(tight)[0])


def scene(rng: np.random.Generator, kinds: int) -> tuple[SemanticMap, Prototypes, Detections]:
    """A frame as a network might see it: padded maps of odd size, boxes that reach outside, equal scores."""
    h, w = (int(n) for n in rng.integers(3, 14, 2))
    valid_height, valid_width = h - int(rng.integers(0, 2)), w - int(rng.integers(0, 3))
    transform = Transform(*(float(v) for v in (4.0, 3.0, 2.5, -1.0)))
    planes = np.round(rng.normal(0, 2, (len(CHANNELS), h, w))).astype(np.float32)  # rounded: ties
    prototypes = rng.normal(0, 1, (kinds, h, w)).astype(np.float32)
    count = int(rng.integers(0, 9))
    centre, size = rng.uniform(-2, 14, (count, 2)), rng.uniform(0, 12, (count, 2))
    boxes = transform.apply(np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32))
    detections = Detections.of(
        boxes,
        rng.choice(np.array([0.2, 0.3, 0.5, 0.8, 0.9], np.float32), count),
        rng.integers(0, 3, count).astype(np.int32),
        coefficients=rng.normal(0, 1, (count, kinds)).astype(np.float32),
    )
    semantic = SemanticMap(planes, transform, valid_height, valid_width)
    return semantic, Prototypes(prototypes, transform, valid_height, valid_width), detections


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_labels(seed: int, scale: int) -> None:
    semantic, _, _ = scene(np.random.default_rng(seed), 1)
    labels = channel_labels(CHANNELS, CLASSES)
    assert label_pixels(semantic, labels, scale=scale).tolist() == slow_labels(semantic, scale).tolist()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_prototypes(seed: int, scale: int) -> None:
    semantic, prototypes, detections = scene(np.random.default_rng(seed), 4)
    label_at = label_pixels(semantic, channel_labels(CHANNELS, CLASSES), scale=scale)
    out = merge_prototypes(prototypes, detections, label_at, classes=CLASSES, scale=scale, **OPTIONS)
    valid = prototypes.masks[:, : prototypes.valid_height, : prototypes.valid_width]
    boxes = out.transform.invert(detections.boxes)

    def mask_of(n: int) -> Mask:
        assert detections.coefficients is not None
        plane = np.zeros(valid.shape[1:], np.float32)
        for weight, prototype in zip(detections.coefficients[n], valid, strict=True):
            plane += weight * prototype
        return {p for p in in_box(boxes[n], label_at.shape) if interpolated(plane, *p, scale) > 0}

    check(out, slow_merge(mask_of, detections, label_at), detections)


@pytest.mark.parametrize("seed", range(40))
def test_boxes(seed: int) -> None:
    semantic, _, detections = scene(np.random.default_rng(seed), 1)
    label_at = label_pixels(semantic, channel_labels(CHANNELS, CLASSES))
    out = merge_boxes(detections, label_at, classes=CLASSES, transform=semantic.transform, **OPTIONS)
    boxes = semantic.transform.invert(detections.boxes)

    def mask_of(n: int) -> Mask:
        return {p for p in in_box(boxes[n], label_at.shape) if label_at[p] == detections.labels[n]}

    check(out, slow_merge(mask_of, detections, label_at), detections)


@pytest.mark.parametrize("seed", range(40))
def test_instances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    semantic, _, detections = scene(rng, 1)
    label_at = label_pixels(semantic, channel_labels(CHANNELS, CLASSES))
    masks = rng.random((len(detections), *label_at.shape)) < rng.uniform(0, 0.6, (len(detections), 1, 1))
    out = merge_instances(masks, detections, label_at, classes=CLASSES, transform=semantic.transform, **OPTIONS)

    def mask_of(n: int) -> Mask:
        return {(int(y), int(x)) for y, x in np.argwhere(masks[n])}

    check(out, slow_merge(mask_of, detections, label_at), detections)


def slow_queries(masks: np.ndarray, class_logits: np.ndarray, threshold: float, visible: float) -> list[tuple]:
    """Segments as (label, rank among things, pixels): mask classification, pixel by pixel."""
    chances = np.exp(class_logits.astype(float))
    chances /= chances.sum(axis=1, keepdims=True)
    order = sorted(range(len(masks)), key=lambda q: (-chances[q].max(), q))
    kept = [q for q in order if chances[q].argmax() < len(CLASSES.names) and chances[q].max() >= threshold]
    won: dict[int, Mask] = {q: set() for q in kept}
    if kept:
        for y, x in product(range(masks.shape[1]), range(masks.shape[2])):
            values = [chances[q].max() / (1 + math.exp(-float(masks[q, y, x]))) for q in kept]
            won[kept[values.index(max(values))]].add((y, x))
    segments: list[tuple] = []
    things = 0
    for q in kept:
        own = {(int(y), int(x)) for y, x in np.argwhere(masks[q] >= 0)}
        label = int(chances[q].argmax())
        if not won[q] & own or len(won[q]) / len(own) < visible:
            continue
        same = [s for s in segments if s[0] == label and label >= len(CLASSES.things)]
        if same:
            same[0][2].update(won[q] & own)
            continue
        thing = label < len(CLASSES.things)
        segments.append((label, things if thing else -1, won[q] & own))
        things += thing
    return segments


def enlarged(masks: np.ndarray, scale: int) -> np.ndarray:
    """Planes [Q, h, w] as [Q, scale * h, scale * w]."""
    out = np.empty((len(masks), masks.shape[1] * scale, masks.shape[2] * scale), dtype=np.float32)
    for q, y, x in np.ndindex(out.shape):
        out[q, y, x] = interpolated(masks[q], y, x, scale)
    return out


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_queries(seed: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    count, h, w = (int(n) for n in rng.integers(1, 9, 3))
    masks = rng.normal(0, 2, (count, h, w)).astype(np.float32)
    class_logits = rng.normal(0, 2, (count, len(CLASSES.names) + 1)).astype(np.float32)
    out, things = merge_queries(
        masks,
        class_logits,
        classes=CLASSES,
        transform=Transform(2, 2),
        scale=scale,
        score_threshold=0.4,
        min_visible=0.3,
    )
    check(out, slow_queries(enlarged(masks, scale), class_logits, 0.4, 0.3), things)
    assert out.transform == Transform(2 / scale, 2 / scale)
    assert things.boxes.tolist() == out.segments.boxes[out.segments.is_thing].tolist()
