"""The merge against its published rules, written from the papers' words on whole masks, in thousands of random cases.

A mask is a Python integer here, a bit a pixel: another form of thinking than the loops' and than the sets of
`test_merge_reference`. `EVERYFRAME_MERGED` is how many cases there are of each rule (10000 take a minute).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pipeline.messages import Classes, Detections, LabelMap, PanopticMap, Prototypes, Transform
from stages.segment.merge import merge_boxes, merge_instances, merge_prototypes, merge_queries
from stages.segment.panoptic import label_table

CASES = int(os.environ.get("EVERYFRAME_MERGED", "2000"))
CLASSES = Classes(("person", "car"), ("road", "sky", "wall"))
THINGS, LABELS = len(CLASSES.things), len(CLASSES.names)
SAME = Transform()
SCORES = np.array([0.2, 0.3, 0.5, 0.5, 0.8, 0.9], np.float32)


@dataclass
class Case:
    """What is merged, and by which numbers."""

    masks: np.ndarray  # bool [N, h, w]
    detections: Detections
    label_at: np.ndarray  # int32 [h, w]
    least_score: float
    max_overlap: Fraction
    min_stuff: Fraction

    @property
    def options(self) -> dict[str, float]:
        return {
            "score_threshold": self.least_score,
            "max_overlap": float(self.max_overlap),
            "min_stuff_area": float(self.min_stuff),
        }


def case(rng: np.random.Generator, shape: tuple[int, int] | None = None) -> Case:
    """Odd sizes, no detection, empty masks, masks of everything, equal masks, equal scores."""
    h, w = shape or (int(rng.integers(1, 8)), int(rng.integers(1, 10)))
    n = int(rng.integers(0, 7))
    masks = rng.random((n, h, w)) < rng.choice([0, 0.1, 0.4, 0.7, 1], (n, 1, 1))
    if n > 1 and rng.random() < 0.3:
        masks[-1] = masks[0]
    left, top = rng.integers(-2, w + 1, n), rng.integers(-2, h + 1, n)
    boxes = np.stack([left, top, left + rng.integers(0, w + 3, n), top + rng.integers(0, h + 3, n)], 1)
    detections = Detections.of(
        (boxes + rng.choice([0, 0.5, 0.25], (n, 4))).astype(np.float32),
        rng.choice(SCORES, n),
        rng.integers(0, THINGS, n).astype(np.int32),
    )
    label_at = rng.integers(-1, LABELS, (h, w)).astype(np.int32)
    if rng.random() < 0.3:
        label_at[:] = rng.integers(-1, LABELS)
    overlap, stuff = rng.integers(0, 5), rng.choice([0, 1, 4, 16])
    return Case(masks, detections, label_at, 0.3, Fraction(int(overlap), 4), Fraction(int(stuff), 64))


def bits(mask: np.ndarray) -> int:
    """Pixel (y, x) of [h, w] is bit y * w + x."""
    return int.from_bytes(np.packbits(mask.ravel(), bitorder="little").tobytes(), "little")


Piece = tuple[int, int, int]  # label, detection or -1, pixels


def published_instances(masks: list[int], given: Case) -> list[Piece]:
    """Kirillov et al., Panoptic Segmentation (2019), section 7, and Panoptic Feature Pyramid Networks (2019), 3.1.

    Segments are sorted by confidence, those of low scores removed. Of each in turn the pixels of earlier ones are
    taken away; where enough of it remains what is left is accepted, else all of it is discarded. Overlaps of things
    and stuff are resolved in favour of things, and stuff under an area is removed.
    """
    scores, labels = given.detections.scores, given.detections.labels
    ranked = sorted(zip(-scores, range(len(masks)), strict=True))
    pieces: list[Piece] = []
    assigned = 0
    for negative, n in ranked:
        remains = masks[n] & ~assigned
        confident = -negative >= np.float32(given.least_score)
        enough = remains.bit_count() >= (1 - given.max_overlap) * masks[n].bit_count()
        if confident and remains and enough:
            pieces.append((int(labels[n]), n, remains))
            assigned |= remains
    for label in range(THINGS, LABELS):
        left = bits(given.label_at == label) & ~assigned
        if left and left.bit_count() >= given.min_stuff * given.label_at.size:
            pieces.append((label, -1, left))
    return pieces


def assert_same(out: PanopticMap, pieces: list[Piece], shape: tuple[int, ...], scores: Any, where: object) -> None:
    """Every pixel, and every column that is not had from the pixels."""
    expected = np.zeros(shape, np.int64)
    for number, (_, _, pixels) in enumerate(pieces, start=1):
        flat = np.frombuffer(pixels.to_bytes(-(-expected.size // 8), "little"), np.uint8)
        expected[np.unpackbits(flat, bitorder="little")[: expected.size].reshape(shape) == 1] = number
    assert np.array_equal(out.ids, expected), where
    table = out.segments
    assert table.labels.tolist() == [label for label, _, _ in pieces], where
    assert table.detection_index.tolist() == [n for _, n, _ in pieces], where
    assert table.areas.tolist() == [pixels.bit_count() for _, _, pixels in pieces], where
    assert table.scores.tolist() == [1 if n < 0 else scores[n] for _, n, _ in pieces], where


def test_instances() -> None:
    rng = np.random.default_rng(1)
    skipped = painted = tied = 0
    for number in range(CASES):
        given = case(rng)
        out = merge_instances(
            given.masks, given.detections, given.label_at, classes=CLASSES, transform=SAME, **given.options
        )
        pieces = published_instances([bits(mask) for mask in given.masks], given)
        scores = given.detections.scores
        assert_same(out, pieces, given.label_at.shape, scores, number)
        painted += sum(n >= 0 for _, n, _ in pieces)
        skipped += int((scores >= np.float32(given.least_score)).sum()) - sum(n >= 0 for _, n, _ in pieces)
        tied += len(np.unique(scores)) < len(scores)
    assert min(skipped, painted, tied) > CASES // 4  # each of them was met


def test_prototypes() -> None:
    """Whole numbers at the prototypes' own scale, so that a mask is exactly what its weighted sum says."""
    rng = np.random.default_rng(2)
    for number in range(CASES):
        given = case(rng)
        shape, n = given.label_at.shape, len(given.detections)
        planes = rng.integers(-3, 4, (3, *shape)).astype(np.float32)
        weights = rng.integers(-2, 3, (n, 3)).astype(np.float32)
        found = given.detections
        detections = Detections.of(found.boxes, found.scores, found.labels, coefficients=weights)
        out = merge_prototypes(
            Prototypes(planes, SAME, *shape), detections, given.label_at, classes=CLASSES, **given.options
        )
        masks = (np.einsum("nk,khw->nhw", weights, planes) > 0) & inside(found.boxes, shape)
        pieces = published_instances([bits(mask) for mask in masks], given)
        assert_same(out, pieces, shape, found.scores, number)


def inside(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[N, h, w] whether a pixel's centre lies in a box; its right and lower edge are not."""
    y, x = (np.arange(length) + 0.5 for length in shape)
    across = (boxes[:, None, 0] <= x) & (x < boxes[:, None, 2])
    down = (boxes[:, None, 1] <= y) & (y < boxes[:, None, 3])
    return np.asarray(down[:, :, None] & across[:, None, :])


def test_boxes_on_pixels_and_on_runs() -> None:
    """A thing is its box where the map bears its class; the rule is then the same."""
    from stages.segment.merge_runs import merge_label_map

    rng = np.random.default_rng(3)
    label_of = label_table(np.arange(LABELS, dtype=np.int32))
    assert label_of is not None
    for number in range(CASES):
        given = case(rng)
        found, shape = given.detections, given.label_at.shape
        masks = inside(found.boxes, shape) & (given.label_at == found.labels[:, None, None])
        pieces = published_instances([bits(mask) for mask in masks], given)
        options: dict[str, Any] = {"classes": CLASSES, **given.options}
        out = merge_boxes(found, given.label_at, transform=SAME, **options)
        assert_same(out, pieces, shape, found.scores, number)
        channels = np.where(given.label_at < 0, 255, given.label_at).astype(np.uint8)
        on_runs = merge_label_map(found, LabelMap(channels, SAME), label_of, **options)
        assert_same(on_runs, pieces, shape, found.scores, number)


def test_instances_of_batches_on_a_device(tensor_device: Any) -> None:
    import torch

    from stages.segment.batched import merge_masks

    rng = np.random.default_rng(4)
    frames = 100
    for first in range(0, CASES, frames):
        shape = (int(rng.integers(1, 8)), int(rng.integers(1, 10)))
        given = [case(rng, shape) for _ in range(frames)]
        for one in given[1:]:  # a batch is merged by one set of numbers
            one.max_overlap, one.min_stuff = given[0].max_overlap, given[0].min_stuff
        masks = torch.zeros((frames, 6, *shape), dtype=torch.bool)
        scores, labels = torch.zeros(frames, 6), torch.zeros(frames, 6, dtype=torch.int32)
        for row, one in enumerate(given):
            n = len(one.detections)
            masks[row, :n] = torch.from_numpy(one.masks)
            scores[row, :n] = torch.from_numpy(one.detections.scores)
            labels[row, :n] = torch.from_numpy(one.detections.labels)
        label_at = torch.from_numpy(np.stack([one.label_at for one in given]))
        moved = (tensor.to(tensor_device) for tensor in (masks, scores, labels, label_at))
        merged = merge_masks(*moved, classes=CLASSES, implementation="torch", **given[0].options)
        ids, counts = merged.ids.cpu().numpy(), merged.counts.tolist()
        for row, one in enumerate(given):
            pieces = published_instances([bits(mask) for mask in one.masks], one)
            assert counts[row] == len(pieces), first + row
            own = [bits(ids[row] == number) for number in range(1, len(pieces) + 1)]
            assert own == [pixels for _, _, pixels in pieces], first + row


def published_queries(masks: np.ndarray, chances: np.ndarray, least: float, visible: float) -> list[tuple[int, int]]:
    """Cheng et al., Per-Pixel Classification is Not All You Need (2021), section 3.4, as (label, pixels).

    Queries that are no object or doubtful are filtered out first. A pixel is of the query for which class probability
    times mask probability is largest; of a query of whose binary mask a large part is occluded nothing remains. Stuff
    of one category is merged.
    """
    probabilities = 1 / (1 + np.exp(-masks.astype(np.float64)))
    label, score = chances.argmax(1), chances.max(1)
    kept = np.flatnonzero((label < LABELS) & (score >= least))
    if not len(kept):
        return []
    best = kept[(score[kept, None, None] * probabilities[kept]).argmax(0)]
    pieces: list[tuple[int, int]] = []
    for q in kept[np.argsort(-score[kept], kind="stable")]:
        binary = probabilities[q] >= 0.5
        shown = bits((best == q) & binary)
        if not shown or (best == q).sum() < visible * binary.sum():
            continue
        merged = next((i for i, (of, _) in enumerate(pieces) if of == label[q] and of >= THINGS), None)
        if merged is None:
            pieces.append((int(label[q]), shown))
        else:
            pieces[merged] = (int(label[q]), pieces[merged][1] | shown)
    return pieces


def queries(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mask logits [Q, h, w] and class logits [Q, C + 1]; some without a query, some queries twice."""
    count, h, w = int(rng.integers(0, 7)), int(rng.integers(1, 7)), int(rng.integers(1, 8))
    masks = rng.normal(rng.normal(0, 1), 2, (count, h, w)).astype(np.float32)
    logits = rng.normal(0, 2, (count, LABELS + 1)).astype(np.float32)
    if count > 1 and rng.random() < 0.2:
        masks[-1], logits[-1] = masks[0], logits[0]
    return masks, logits


def chances_of(logits: np.ndarray) -> np.ndarray:
    """Class probabilities [Q, C + 1]."""
    powers = np.exp(logits.astype(np.float64) - logits.max(1, initial=-np.inf, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def test_queries() -> None:
    rng = np.random.default_rng(5)
    met = 0
    for number in range(CASES):
        masks, logits = queries(rng)
        out, things = merge_queries(
            masks, logits, classes=CLASSES, transform=SAME, score_threshold=0.4, min_visible=0.5
        )
        pieces = published_queries(masks, chances_of(logits), 0.4, 0.5)
        assert out.segments.labels.tolist() == [label for label, _ in pieces], number
        assert [bits(out.ids == i) for i in range(1, len(pieces) + 1)] == [pixels for _, pixels in pieces], number
        assert things.labels.tolist() == [label for label, _ in pieces if label < THINGS], number
        met += len(pieces)
    assert met > CASES


def test_queries_as_transformers_reads_them() -> None:
    """The published code for EoMT, on the same numbers; its segments are numbered by query, ours by score."""
    reading = pytest.importorskip("transformers.models.eomt.image_processing_eomt", reason="needs transformers")
    import torch

    rng = np.random.default_rng(6)
    met = 0
    for number in range(CASES):
        masks, logits = queries(rng)
        chances = chances_of(logits)
        score, label = chances.max(1, initial=0), chances.argmax(1)
        kept = (label < LABELS) & (score >= 0.4)
        # Exactly the wanted share is too little there; no share of so few pixels is 0.37.
        out, _ = merge_queries(masks, logits, classes=CLASSES, transform=SAME, score_threshold=0.4, min_visible=0.37)
        if not kept.any():
            assert not out.ids.any()
            continue
        # Numbers apart in memory: of those side by side torch rounds the last few of an array in another way, and so
        # the same query, asked twice, is no tie.
        apart = np.repeat(masks[kept].astype(np.float64)[..., None], 2, axis=-1)
        theirs, told = reading.compute_segments(
            torch.from_numpy(apart)[..., 0], torch.from_numpy(score[kept]),
            torch.from_numpy(label[kept]), set(range(THINGS, LABELS)), overlap_mask_area_threshold=0.37,
        )  # fmt: skip
        expected = {(one["label_id"], bits(theirs.numpy() == one["id"])) for one in told}
        assert not any(pixels == 0 for _, pixels in expected)
        ours = zip(out.segments.labels.tolist(), out.segments.ids.tolist(), strict=True)
        assert {(label, bits(out.ids == i)) for label, i in ours} == expected, number
        met += len(expected)
    assert met > CASES
