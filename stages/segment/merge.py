"""The panoptic merge: one segment a pixel, from instance masks, boxes or queries and semantic scores.

Three rules. Things are painted by falling score, equal scores by rising index, and never over each other:

a. `merge_instances`, `merge_prototypes`: instance masks and semantic scores (Kirillov et al., Panoptic Feature Pyramid
   Networks, 2019, section 3): a mask of which more than half is taken is skipped, the others take their free pixels,
   and stuff of enough area takes what is left.
b. `merge_boxes`: boxes and semantic scores, for networks without instance masks: a thing is what bears its class
   inside its box; pixels of thing classes in no box become void. Of two boxes, the one mostly taken is skipped as in a.
c. `merge_queries`: mask classification (Cheng et al., Mask2Former, 2022; Kerssies et al., EoMT, 2025): queries are
   filtered first, and the winner of each pixel is found at the network's own scale.

A detection whose mask was skipped stays a detection without a segment. Segment ids count from 1 in order of painting; 0
is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import (
    NO_TRACK,
    Classes,
    Detections,
    Float32,
    Int32,
    Int64,
    PanopticMap,
    Prototypes,
    Segments,
    SemanticMap,
    Transform,
)
from stages.segment import merge_kernels as kernels
from stages.segment.merge_kernels import SKIPPED, VOID

UInt16 = npt.NDArray[np.uint16]
Bools = npt.NDArray[np.bool_]


def channel_labels(semantic_labels: Sequence[int | None], classes: Classes, *, leftover: str = "void") -> Int32:
    """The label of each semantic channel [S] as `label_pixels` takes them; None means void.

    `leftover` says what becomes of pixels that a thing class or None wins and no thing covers: ``void``, as Panoptic
    FPN has it, or ``stuff``: the best stuff class. Raises `ValueError` for a label that `classes` does not have.
    """
    for label in semantic_labels:
        if label is not None and not 0 <= label < len(classes.names):
            raise ValueError(f"semantic_labels has {label}; 0 to {len(classes.names) - 1} or None is needed")
    labels = [VOID if label is None else label for label in semantic_labels]
    if leftover == "stuff":
        labels = [label if label >= len(classes.things) else SKIPPED for label in labels]
    return np.array(labels, dtype=np.int32)


def label_pixels(semantic: SemanticMap, labels: Int32, *, scale: int = 1) -> Int32:
    """The winning label [scale * valid_height, scale * valid_width] at each pixel, -1 for void.

    `labels` [S] as `channel_labels` makes them. Logits are interpolated linearly; of equal ones the first channel wins.
    """
    height, width = semantic.valid_height, semantic.valid_width
    wide = _c_ordered(semantic.logits, np.float32)
    if scale > 1:
        wide = kernels.widen(wide, height, width, scale)
    return kernels.label_map(wide, labels, height, width * scale, scale)


def merge_instances(
    masks: Bools,  # [N, h, w]
    detections: Detections,  # [N]
    label_at: Int32,  # [h, w] from `label_pixels`
    *,
    classes: Classes,
    transform: Transform,  # from pixels of the map to source pixels
    score_threshold: float = 0.4,
    max_overlap: float = 0.5,
    min_stuff_area: float = 0.002,
) -> PanopticMap:
    """Rule a over whole masks. Detections below `score_threshold` are not painted.

    `max_overlap` is the share of a mask that may be taken, `min_stuff_area` the share of the map a stuff segment needs.
    """
    ids = np.zeros(label_at.shape, dtype=np.uint16)
    order = _best_first(detections.scores, score_threshold)
    given = kernels.paint_masks(_c_ordered(masks, np.uint8), order, max_overlap, ids)
    return _completed(ids, given, detections, label_at, classes, transform, min_stuff_area)


def merge_prototypes(
    prototypes: Prototypes,
    detections: Detections,  # with coefficients
    label_at: Int32,  # [scale * valid_height, scale * valid_width] from `label_pixels`
    *,
    classes: Classes,
    scale: int = 1,
    score_threshold: float = 0.4,
    max_overlap: float = 0.5,
    min_stuff_area: float = 0.002,
) -> PanopticMap:
    """Rule a over masks ``sigmoid(coefficients @ prototypes) > 0.5``, each computed only inside its box."""
    height, width = prototypes.valid_height, prototypes.valid_width
    if label_at.shape != (height * scale, width * scale):
        raise ValueError(
            f"label_at is {list(label_at.shape)}; [{height * scale}, {width * scale}], {scale} times the valid part of "
            "the prototypes, is needed"
        )
    coefficients = detections.coefficients
    if coefficients is None:
        coefficients = np.zeros((len(detections), len(prototypes.masks)), dtype=np.float32)
    elif coefficients.shape[1] != len(prototypes.masks):
        raise ValueError(f"{coefficients.shape[1]} coefficients a detection for {len(prototypes.masks)} prototypes")
    transform = _scaled(prototypes.transform, scale)
    ids = np.zeros(label_at.shape, dtype=np.uint16)
    given = kernels.paint_prototypes(
        _c_ordered(prototypes.masks, np.float32),
        _c_ordered(coefficients, np.float32),
        transform.invert(detections.boxes),
        _best_first(detections.scores, score_threshold),
        height,
        width,
        scale,
        max_overlap,
        ids,
    )
    return _completed(ids, given, detections, label_at, classes, transform, min_stuff_area)


def merge_boxes(
    detections: Detections,
    label_at: Int32,  # [h, w] from `label_pixels`
    *,
    classes: Classes,
    transform: Transform,  # from pixels of the map to source pixels
    score_threshold: float = 0.4,
    max_overlap: float = 0.5,
    min_stuff_area: float = 0.002,
) -> PanopticMap:
    """Rule b; the class map is in the labels that `label_at` was made with."""
    ids = np.zeros(label_at.shape, dtype=np.uint16)
    given = kernels.paint_boxes(
        label_at,
        _c_ordered(detections.labels, np.int32),
        transform.invert(detections.boxes),
        _best_first(detections.scores, score_threshold),
        max_overlap,
        ids,
    )
    return _completed(ids, given, detections, label_at, classes, transform, min_stuff_area)


def merge_queries(
    mask_logits: Float32,  # [Q, h, w]
    class_logits: Float32,  # [Q, C + 1], the last is no object
    *,
    classes: Classes,  # C names
    transform: Transform,  # from pixels of the logits to source pixels
    scale: int = 1,
    score_threshold: float = 0.8,
    min_visible: float = 0.8,
) -> tuple[PanopticMap, Detections]:
    """Rule c: the map, at `scale` times the size of the logits, and its things as detections with tight boxes.

    Queries that mean no object or score below `score_threshold` are dropped before any pixel is looked at; the logits
    of the others are interpolated linearly. A query that wins less than `min_visible` of its own mask is skipped; stuff
    segments of one label are one segment. Raises `ValueError` where the number of classes differs.
    """
    if class_logits.shape[1] != len(classes.names) + 1:
        raise ValueError(
            f"class_logits has {class_logits.shape[1]} columns; {len(classes.names)} classes + 1 are needed"
        )
    scores, labels = _query_classes(class_logits)
    order = np.argsort(-scores, kind="stable")
    order = order[(labels[order] < len(classes.names)) & (scores[order] >= score_threshold)]
    scores, labels = scores[order], labels[order]
    logits = kernels.enlarge(np.ascontiguousarray(mask_logits[order], dtype=np.float32), scale)  # [q, h, w] of the map
    transform = _scaled(transform, scale)
    winner = kernels.winning_query(logits, scores)
    visible = _visible(winner, logits, min_visible)
    table = np.zeros(len(order) + 1, dtype=np.uint16)  # the last is void's
    segment_query: list[int] = []
    stuff_ids: dict[int, int] = {}
    for q in np.flatnonzero(visible):
        label = int(labels[q])
        if not classes.is_thing(label) and label in stuff_ids:
            table[q] = stuff_ids[label]
            continue
        segment_query.append(int(q))
        table[q] = len(segment_query)
        if not classes.is_thing(label):
            stuff_ids[label] = len(segment_query)
    ids = np.where(_confident(winner, logits), table[winner], np.uint16(0))
    return _of_queries(ids, np.array(segment_query, dtype=np.int64), scores, labels, classes, transform)


def _query_classes(class_logits: Float32) -> tuple[npt.NDArray[np.float64], Int64]:
    """Each query's best class: its probability [Q] and label [Q]."""
    shifted = class_logits.astype(np.float64) - class_logits.max(axis=1, keepdims=True, initial=-np.inf)
    probabilities = np.exp(shifted)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities.max(axis=1), probabilities.argmax(axis=1)


def _confident(winner: Int32, logits: Float32) -> Bools:
    """Where [h, w] the winning query's own mask is set."""
    if len(logits) == 0:
        return np.zeros(winner.shape, dtype=bool)
    return np.asarray(np.take_along_axis(logits, winner[None].clip(0), axis=0)[0] >= 0)


def _visible(winner: Int32, logits: Float32, min_visible: float) -> Bools:
    """Which queries [q] show: they win a confident pixel, and enough pixels beside the area of their mask."""
    count = len(logits)
    won = np.bincount(winner[winner >= 0], minlength=count)
    painted = np.bincount(winner[_confident(winner, logits)], minlength=count)
    areas = (logits >= 0).sum(axis=(1, 2))
    return np.asarray((painted > 0) & (won >= min_visible * areas))


def _of_queries(
    ids: UInt16, queries: Int64, scores: npt.NDArray[np.float64], labels: Int64, classes: Classes, transform: Transform
) -> tuple[PanopticMap, Detections]:
    labels32 = labels[queries].astype(np.int32)
    things = labels32 < len(classes.things)
    index = np.where(things, np.cumsum(things) - 1, -1)
    table = _table(ids, labels32, things, np.where(things, scores[queries], 1.0), index, transform)
    found = Detections.of(table.boxes[things], table.scores[things], labels32[things])
    return PanopticMap(ids=ids, segments=table, transform=transform), found


def _best_first(scores: Float32, score_threshold: float) -> Int64:
    """Rows that reach the threshold, by falling score, then rising row."""
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] >= np.float32(score_threshold)]


def _completed(
    ids: UInt16,
    given: Int32,  # [N] the id of each detection, 0 for none
    detections: Detections,
    label_at: Int32,
    classes: Classes,
    transform: Transform,
    min_stuff_area: float,
) -> PanopticMap:
    """The map with stuff filled in and its table made."""
    things = len(classes.things)
    rows = np.flatnonzero(given)
    rows = rows[np.argsort(given[rows])]  # in order of painting
    smallest = int(np.ceil(min_stuff_area * ids.size))
    stuff_given = kernels.fill_stuff(label_at, things, len(classes.names), smallest, len(rows) + 1, ids)
    stuff = np.flatnonzero(stuff_given) + things  # ids rise with the label
    table = _table(
        ids,
        np.concatenate([detections.labels[rows], stuff]).astype(np.int32),
        np.arange(len(rows) + len(stuff)) < len(rows),
        np.concatenate([detections.scores[rows], np.ones(len(stuff))]),
        np.concatenate([rows, np.full(len(stuff), -1)]),
        transform,
    )
    return PanopticMap(ids=ids, segments=table, transform=transform)


def _table(
    ids: UInt16, labels: Int32, is_thing: Bools, scores: npt.NDArray[Any], index: npt.NDArray[Any], transform: Transform
) -> Segments:
    """The table of segments 1..S of a map, all of which occur in it."""
    measured = kernels.measure(ids, len(labels))  # [S, 5]
    return Segments(
        ids=np.arange(1, len(labels) + 1, dtype=np.int32),
        labels=labels,
        is_thing=is_thing,
        scores=scores.astype(np.float32),
        areas=np.ascontiguousarray(measured[:, 4]),
        boxes=transform.apply(measured[:, :4].astype(np.float32)),
        detection_index=index.astype(np.int32),
        track_ids=np.full(len(labels), NO_TRACK, dtype=np.int64),
    )


def _scaled(transform: Transform, scale: int) -> Transform:
    """From pixels of a map `scale` times as large."""
    return Transform(transform.scale_x / scale, transform.scale_y / scale, transform.offset_x, transform.offset_y)


def _c_ordered(array: npt.NDArray[Any], dtype: type) -> npt.NDArray[Any]:
    """The array as the loops take it, copied only if it must be."""
    return np.require(array, dtype=dtype, requirements=("C", "A"))
