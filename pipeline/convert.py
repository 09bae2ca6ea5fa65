"""Results as other people's objects: what the methods of `FrameResult` do, which a reader calls who wants it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import NO_TRACK, FrameResult, PanopticMap, UInt8
from pipeline.wire import encode_coco, fill, result_to_json
from pipeline.wire.coco import counts_of


def to_dict(result: FrameResult) -> dict[str, Any]:
    """The JSON form, timings among it."""
    return result_to_json(result, timings=True)


def to_supervision(result: FrameResult) -> Any:
    """`supervision.Detections`; masks where there are some, at the size of the source picture.

    ``confidence`` is what suppression left, ``data["raw_score"]`` as the network gave it (things of a message without
    boxes have but one score).
    """
    import supervision

    detections, panoptic = result.detections, panoptic_of(result)
    labels, tracks = detections.labels, result.track_ids
    boxes, scores, raw_scores = detections.boxes, detections.scores, detections.raw_scores
    masks = None
    if panoptic is not None and not len(detections):  # of the kind masks: the things of the segment table
        things = panoptic.segments[panoptic.segments.is_thing]
        boxes, scores, labels, tracks = things.boxes, things.scores, things.labels, things.track_ids
        raw_scores = scores
        masks = _masks(panoptic, result, things.ids)
    elif panoptic is not None:
        masks = _masks(panoptic, result, panoptic.segments.of_detections(len(detections)))
    return supervision.Detections(
        xyxy=boxes.reshape(-1, 4),
        mask=masks,
        confidence=scores,
        class_id=labels.astype(int),
        tracker_id=tracks.astype(int) if len(tracks) and (tracks != NO_TRACK).any() else None,
        data={
            "class_name": np.array([result.class_name(label) for label in labels.tolist()], dtype=str),
            "raw_score": raw_scores,
        },
    )


def to_coco(result: FrameResult, *, image_id: int | None = None) -> dict[str, Any]:
    """A COCO data set of one picture: ``images``, ``annotations``, ``categories``.

    Category ids are labels + 1. Run lengths are of the size of the source picture; segments without a detection, such
    as stuff, are annotations too. ``score`` is what suppression left, ``raw_score`` of a detection as the network gave
    it. `image_id` is the frame's `seq` unless given.
    """
    image_id = result.seq if image_id is None else image_id
    image = {
        "id": image_id,
        "width": result.width,
        "height": result.height,
        "file_name": f"{result.source_id}-{result.epoch}-{result.seq}",
    }
    annotations = [
        {"id": number, "image_id": image_id, "iscrowd": 0, **row} for number, row in enumerate(_rows(result), start=1)
    ]
    categories = [
        {"id": label + 1, "name": name, "isthing": int(result.classes.is_thing(label))}
        for label, name in enumerate(result.classes.names)
    ]
    return {"images": [image], "annotations": annotations, "categories": categories}


def draw(result: FrameResult, image: UInt8, *, before: Iterable[FrameResult] = ()) -> UInt8:
    """The picture RGB [height, width, 3], of the size the result is about, with the result drawn over it.

    Results of its source in `before`, oldest first, leave the trails of the last two seconds.
    """
    from pipeline.build import draw_result

    whole = result if result.polygons is None else replace(result, panoptic=panoptic_of(result), polygons=None)
    return draw_result(image, whole, before=(one for one in before if one.source_id == result.source_id))


def panoptic_of(result: FrameResult) -> PanopticMap | None:
    """The map; of polygons, the one that they enclose."""
    return fill(result.polygons) if result.polygons is not None else result.panoptic


def _masks(panoptic: PanopticMap, result: FrameResult, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """[N, height, width] of the source picture; all false for id 0."""
    whole = panoptic.at_size(result.width, result.height)
    return np.asarray((whole[None] == ids[:, None, None]) & (ids != 0)[:, None, None])


def _rows(result: FrameResult) -> list[dict[str, Any]]:
    """An annotation for each detection, then for each segment without one."""
    found, panoptic = result.detections, panoptic_of(result)
    columns: list[npt.NDArray[Any]] = [
        found.boxes,
        found.labels,
        found.scores,
        result.track_ids,
        np.zeros(len(found), dtype=np.int32),
    ]
    masks: dict[int, str] = {}
    if panoptic is not None:
        ids = panoptic.segments.ids
        coded = encode_coco(panoptic.at_size(result.width, result.height), ids)
        masks = dict(zip(ids.tolist(), coded, strict=True))
        columns[-1] = panoptic.segments.of_detections(len(found))
        alone = panoptic.segments[~np.isin(ids, columns[-1])]
        more: list[npt.NDArray[Any]] = [alone.boxes, alone.labels, alone.scores, alone.track_ids, alone.ids]
        columns = [np.concatenate(pair) for pair in zip(columns, more, strict=True)]
    size = [result.height, result.width]
    told = zip(*(column.tolist() for column in columns), strict=True)
    rows = [_row(box, label, score, track, masks.get(id_), size) for box, label, score, track, id_ in told]
    for row, raw_score in zip(rows, found.raw_scores.tolist(), strict=False):  # segments alone have none
        row["raw_score"] = raw_score
    return rows


def _row(box: list[float], label: int, score: float, track: int, mask: str | None, size: list[int]) -> dict[str, Any]:
    left, top, right, bottom = box
    row: dict[str, Any] = {
        "category_id": label + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "score": score,
    }
    if track != NO_TRACK:
        row["track_id"] = track
    if mask is not None:
        row["segmentation"] = {"size": size, "counts": mask}
        row["area"] = _area(mask)
    return row


def _area(mask: str) -> int:
    return int(counts_of(mask)[1::2].sum())
