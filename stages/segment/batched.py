"""The panoptic merge for a batch of frames on the device that ran the networks, without waiting for it.

The rules of `merge`, with the same maps and tables: (a) `merge_masks` over instance masks and semantic labels, (b) the
same over the masks of boxes, (c) `merge_queries` for mask classification; `batched_masks` makes what the first two
take. Nothing has a shape that depends on what was found: tables are as long as they can get, and `counts` says how much
of each is meant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.messages import Classes
from stages.implementation import Implementation, uses_triton
from stages.segment.painting import claim, histogram, paint_winners, winning_query


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """Panoptic maps of B frames and their tables of up to S segments, on a device; what is past a count is 0 or -1.

    Segment ids count from 1 in the order of painting: row i of a table is segment i + 1.
    """

    ids: Tensor  # int32 [B, h, w]; 0 is void
    counts: Tensor  # int64 [B] segments
    labels: Tensor  # int64 [B, S]
    scores: Tensor  # float32 [B, S] of the detection or query; 1 for stuff
    index: Tensor  # int64 [B, S] row of the detection, or rank among the things of the queries; -1 for stuff
    areas: Tensor  # int64 [B, S] pixels of the map
    boxes: Tensor  # int64 [B, S, 4] xyxy, tight, pixels of the map


def merge_masks(
    masks: Tensor,  # bool [B, N, h, w]
    scores: Tensor,  # [B, N]
    labels: Tensor,  # [B, N] of things
    label_at: Tensor,  # [B, h, w] from `batched_masks.label_pixels`
    *,
    classes: Classes,
    score_threshold: float = 0.4,
    max_overlap: float = 0.5,
    min_stuff_area: float = 0.002,
    implementation: Implementation = "auto",
) -> Merged:
    """Rules a and b, as `merge.merge_instances` has them. Frames with fewer detections are filled up with scores of 0,
    which must be below `score_threshold`.

    Raises:
        ValueError: where shapes do not fit.
    """
    frames, count, height, width = masks.shape
    if scores.shape != (frames, count) or labels.shape != scores.shape or label_at.shape != (frames, height, width):
        raise ValueError(
            f"masks {list(masks.shape)}, scores {list(scores.shape)}, labels {list(labels.shape)}, "
            f"label_at {list(label_at.shape)}; [B, N, h, w], [B, N], [B, N] and [B, h, w] are needed"
        )
    scores = scores.float()
    able = scores >= float(np.float32(score_threshold))  # a score written as 0.4 reaches a threshold of 0.4
    order = torch.sort(torch.where(able, scores, -math.inf), dim=1, descending=True, stable=True).indices
    triton = uses_triton(implementation, masks.device) and masks.numel() > 0
    ids, given = claim(masks, order, able.gather(1, order), max_overlap, triton=triton)
    things, stuff = len(classes.things), len(classes.names) - len(classes.things)
    painted = given.amax(1, keepdim=True) if count else given.new_zeros(frames, 1)  # [B, 1]
    ids, stuff_given = _filled(ids, label_at, painted, things, stuff, math.ceil(min_stuff_area * height * width))
    stuff_labels = torch.arange(things, things + stuff, device=masks.device).expand(frames, -1)
    rows = torch.arange(count, device=masks.device).expand(frames, -1)
    return _tabled(
        ids,
        torch.cat([given, stuff_given], 1),
        labels=torch.cat([labels.long(), stuff_labels], 1),
        scores=torch.cat([scores, scores.new_ones(frames, stuff)], 1),
        index=torch.cat([rows, torch.full_like(stuff_labels, -1)], 1),
    )


def merge_queries(
    mask_logits: Tensor,  # [B, Q, h, w]
    class_logits: Tensor,  # [B, Q, C + 1], the last is no object
    *,
    classes: Classes,  # C names
    scale: int = 1,
    score_threshold: float = 0.8,
    min_visible: float = 0.8,
    implementation: Implementation = "auto",
) -> Merged:
    """Rule c, as `merge.merge_queries` has it: filter first, and the winner of each pixel at `scale` times the size of
    the logits, of which only the part that shows the picture is to be given.

    `Merged.index` is a thing's rank among the things of its frame.

    Raises:
        ValueError: where shapes do not fit.
    """
    frames, queries, height, width = mask_logits.shape
    if class_logits.shape != (frames, queries, len(classes.names) + 1):
        raise ValueError(
            f"class_logits is {list(class_logits.shape)}; [{frames}, {queries}, {len(classes.names)} classes + 1] is "
            "needed"
        )
    if not queries:
        empty = class_logits.new_zeros(frames, 0)
        ids = torch.zeros((frames, height * scale, width * scale), dtype=torch.int64, device=mask_logits.device)
        return _tabled(ids, empty.long(), labels=empty.long(), scores=empty.float(), index=empty.long())
    scores, labels = class_logits.double().softmax(2).max(2)  # [B, Q] of equal chances the first class
    able = (labels < len(classes.names)) & (scores >= score_threshold)
    scores, order = torch.sort(torch.where(able, scores, -1.0), dim=1, descending=True, stable=True)
    able, labels = able.gather(1, order), labels.gather(1, order)
    triton = uses_triton(implementation, mask_logits.device) and mask_logits.numel() > 0
    won = winning_query(mask_logits, order, scores.clamp(min=0.0), able, scale=scale, triton=triton)
    visible = able & (won.painted > 0) & (won.won >= min_visible * won.areas.double())
    segment = _segments_of(visible, labels, len(classes.things))  # [B, Q] id of each query's segment
    ids = paint_winners(won.winner, won.confident, segment)
    things = labels < len(classes.things)
    first = visible & (things | _is_first(visible & ~things, labels))
    return _tabled(
        ids,
        torch.where(first, segment, 0),
        labels=labels,
        scores=torch.where(things, scores, 1.0).float(),
        index=torch.where(things, (visible & things).cumsum(1) - 1, -1),
    )


def _filled(
    ids: Tensor, label_at: Tensor, painted: Tensor, things: int, stuff: int, smallest: int
) -> tuple[Tensor, Tensor]:
    """Ids [B, h, w] with stuff of at least `smallest` free pixels filled in, and the id of each stuff label [B, stuff].

    Ids go on from `painted` [B, 1], rising with the label.
    """
    label_at = label_at.long()
    free = (ids == 0) & (label_at >= things) & (label_at < things + stuff)
    place = torch.where(free, label_at - things, stuff)
    areas = histogram(place, stuff + 1)[:, :stuff]
    able = areas >= max(smallest, 1)
    given = torch.where(able, painted + able.cumsum(1), 0)
    table = torch.cat([given, given.new_zeros(len(given), 1)], 1)
    filled = table.gather(1, place.flatten(1)).view_as(ids)
    return torch.where(free, filled, ids), given


def _is_first(stuff: Tensor, labels: Tensor) -> Tensor:
    """Which queries [B, Q] are the first of their label among the stuff."""
    queries = labels.shape[1]
    rank = torch.arange(queries, device=labels.device)
    same = (labels[:, :, None] == labels[:, None, :]) & stuff[:, :, None] & stuff[:, None, :]  # [B, Q, Q]
    return stuff & ~(same & (rank[None, :] < rank[:, None])).any(2)


def _segments_of(visible: Tensor, labels: Tensor, things: int) -> Tensor:
    """The segment id of each visible query [B, Q], 0 of the others: all stuff of a label is one segment."""
    is_stuff = visible & (labels >= things)
    new = visible & ((labels < things) | _is_first(is_stuff, labels))
    ids = new.cumsum(1) * new
    same = (labels[:, :, None] == labels[:, None, :]) & is_stuff[:, :, None] & is_stuff[:, None, :]
    shared = (same * ids[:, None, :]).amax(2)
    return torch.where(is_stuff, shared, ids)


def _tabled(ids: Tensor, given: Tensor, *, labels: Tensor, scores: Tensor, index: Tensor) -> Merged:
    """The map with its table: columns [B, R] of candidates, ordered by the ids [B, R] they were given (0: none)."""
    frames, size = given.shape
    place = torch.where(given > 0, given - 1, size)

    def ordered(column: Tensor, filler: int) -> Tensor:
        wide = torch.full((frames, size + 1), filler, dtype=column.dtype, device=column.device)
        return wide.scatter_(1, place, column)[:, :size]

    areas, boxes = _measured(ids.long(), size)
    return Merged(
        ids=ids.int(),
        counts=(given > 0).sum(1),
        labels=ordered(labels, -1),
        scores=ordered(scores, 0),
        index=ordered(index, -1),
        areas=areas,
        boxes=boxes,
    )


def _measured(ids: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Pixels [B, size] and tight boxes [B, size, 4] of segments 1..size; 0 of what does not occur."""
    _, height, width = ids.shape
    if not size:
        return ids.new_zeros(len(ids), 0), ids.new_zeros(len(ids), 0, 4)
    y = torch.arange(height, device=ids.device)[:, None]
    x = torch.arange(width, device=ids.device)
    in_rows = histogram(ids * height + y, (size + 1) * height).view(-1, size + 1, height)[:, 1:]
    in_columns = histogram(ids * width + x, (size + 1) * width).view(-1, size + 1, width)[:, 1:]
    areas = in_rows.sum(2)
    sides = [_first(in_columns), _first(in_rows), width - _first(in_columns.flip(2)), height - _first(in_rows.flip(2))]
    return areas, torch.stack(sides, 2) * (areas > 0)[..., None]


def _first(counts: Tensor) -> Tensor:
    """Where the last dimension is first positive."""
    return (counts > 0).byte().argmax(-1)
