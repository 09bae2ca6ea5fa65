"""The forms in which masks travel besides the id map: smaller, as crops, as polygons, as COCO's run lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np

from pipeline.errors import WireError
from pipeline.messages import PanopticMap, Polygons, Segments, Transform
from pipeline.wire.coco import decode_coco, encode_coco
from pipeline.wire.crops import decode_crops, encode_crops
from pipeline.wire.idmap import UInt16, encode_id_map
from pipeline.wire.limits import Limits, check_area
from pipeline.wire.polygons import pack_polygons, trace, unpack_rings
from pipeline.wire.schema import PanopticPart
from pipeline.wire.tables import pack_segments
from pipeline.wire.topics import MaskForm


def pack_form(panoptic: PanopticMap, form: MaskForm) -> PanopticPart:
    """The masks in one form."""
    return FORMS[form](panoptic)


def reduced(panoptic: PanopticMap, factor: int) -> PanopticMap:
    """The map with one pixel for `factor` x `factor`, the one nearest to their middle; areas counted anew.

    A last row or column that is not whole counts as whole; its pixels lie partly beyond the picture.
    """
    height, width = panoptic.ids.shape
    rows = np.minimum(np.arange(factor // 2, height + factor // 2, factor), height - 1)
    columns = np.minimum(np.arange(factor // 2, width + factor // 2, factor), width - 1)
    ids = np.ascontiguousarray(panoptic.ids[rows[:, None], columns[None, :]])
    areas = np.bincount(ids.reshape(-1), minlength=2**16)[panoptic.segments.ids].astype(np.int32)
    t = panoptic.transform
    transform = Transform(t.scale_x * factor, t.scale_y * factor, t.offset_x, t.offset_y)
    return PanopticMap(ids, replace(panoptic.segments, areas=areas), transform)


def unpack_ids(part: PanopticPart, segments: Segments, limits: Limits) -> UInt16:
    """The id map of masks as crops or COCO's run lengths. Raises `WireError`."""
    if len(np.unique(segments.ids)) != len(segments):
        raise WireError("panoptic.segments: two segments have the same id")
    if part.crops is not None:
        return decode_crops(part.crops, segments.ids, width=part.width, height=part.height, limits=limits)
    if part.coco is not None:
        return decode_coco(part.coco, segments.ids, width=part.width, height=part.height, limits=limits)
    raise WireError("panoptic: one of id_map, crops, polygons, coco is needed")


def unpack_polygons(part: PanopticPart, segments: Segments, transform: Transform, limits: Limits) -> Polygons | None:
    """The polygons; None where the masks have another form. Raises `WireError`."""
    if part.polygons is None:
        return None
    check_area("polygons", part.width, part.height, limits.picture_pixels)
    ids, counts, points = unpack_rings(part.polygons, segments.ids, limits=limits)
    return Polygons(
        segments=segments,
        width=part.width,
        height=part.height,
        transform=transform,
        tolerance=part.polygons.tolerance,
        ids=ids,
        counts=counts,
        points=points,
    )


def _scaled(factor: int) -> Callable[[PanopticMap], PanopticPart]:
    def pack(panoptic: PanopticMap) -> PanopticPart:
        smaller = reduced(panoptic, factor)
        return msgspec.structs.replace(_part(smaller), id_map=memoryview(encode_id_map(smaller.ids)))

    return pack


def _crops(panoptic: PanopticMap) -> PanopticPart:
    return msgspec.structs.replace(_part(panoptic), crops=encode_crops(panoptic.ids, panoptic.segments.ids))


def _polygons(panoptic: PanopticMap) -> PanopticPart:
    return msgspec.structs.replace(_part(panoptic), polygons=pack_polygons(trace(panoptic)))


def _coco(panoptic: PanopticMap) -> PanopticPart:
    return msgspec.structs.replace(_part(panoptic), coco=tuple(encode_coco(panoptic.ids, panoptic.segments.ids)))


def _part(panoptic: PanopticMap) -> PanopticPart:
    """The part without its masks."""
    t = panoptic.transform
    return PanopticPart(
        width=panoptic.width,
        height=panoptic.height,
        transform=(float(t.scale_x), float(t.scale_y), float(t.offset_x), float(t.offset_y)),
        segments=pack_segments(panoptic.segments, with_detection_index=False),
    )


FORMS: dict[MaskForm, Callable[[PanopticMap], PanopticPart]] = {
    "masks.half": _scaled(2),
    "masks.quarter": _scaled(4),
    "masks.crops": _crops,
    "masks.polygons": _polygons,
    "masks.coco": _coco,
}
