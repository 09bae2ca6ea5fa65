"""Masks as polygons: the edge between a segment and what is not it, traced along the sides of pixels, then thinned.

Traced alone, the rings enclose exactly the segment's pixels. Thinning (Douglas-Peucker) leaves out corners that lie
within the tolerance of the ring that is left. Pixels that touch at a corner only have rings of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.errors import WireError
from pipeline.messages import PanopticMap, Polygons
from pipeline.messages.arrays import Float32, Int32, Int64
from pipeline.wire.columns import check_range, pack_column, unpack_column
from pipeline.wire.limits import DEFAULT_LIMITS, Limits, check_area, check_count
from pipeline.wire.schema import PolygonTable

TOLERANCE = 1.0  # pixels of the map
FEWEST_CORNERS = 4  # of a ring: a rectangle
MOST_OVERLAP = 4  # times the map's area that the polygons of one message may cover


def trace(panoptic: PanopticMap, *, tolerance: float = TOLERANCE) -> Polygons:
    """The polygons of a map; with a tolerance of 0 they enclose exactly its pixels."""
    at = panoptic.transform
    ids, kept = [], []
    for segment_id, rings in _rings(panoptic):
        ids += [segment_id] * len(rings)
        kept += [thinned(ring, tolerance) for ring in rings]
    corners = np.concatenate([np.zeros((0, 2), dtype=np.int32), *kept])
    points = corners * np.array([at.scale_x, at.scale_y]) + np.array([at.offset_x, at.offset_y])
    return Polygons(
        segments=panoptic.segments,
        width=panoptic.width,
        height=panoptic.height,
        transform=at,
        tolerance=tolerance,
        ids=np.array(ids, dtype=np.int32),
        counts=np.array([len(ring) for ring in kept], dtype=np.int32),
        points=points.astype(np.float32),
    )


def pack_polygons(polygons: Polygons) -> PolygonTable:
    """The table."""
    return PolygonTable(
        count=len(polygons.ids),
        id=pack_column(polygons.ids, "<i4"),
        points=pack_column(polygons.counts, "<i4"),
        point=pack_column(polygons.points, "<f4"),
        tolerance=float(polygons.tolerance),
    )


def unpack_rings(table: PolygonTable, segment_ids: Int32, *, limits: Limits) -> tuple[Int32, Int32, Float32]:
    """Ids, counts and points of the rings. Raises `WireError`."""
    check_count("polygons", table.count, limits.runs)
    ids = unpack_column("polygons.id", table.id, "<i4", table.count)
    counts = unpack_column("polygons.points", table.points, "<i4", table.count)
    check_range("polygons.points", counts, 3, limits.runs)
    total = int(counts.sum(dtype=np.int64))
    check_count("polygons: points", total, limits.runs)
    if not np.isin(ids, segment_ids).all():
        raise WireError("polygons.id: a ring of no segment of the table")
    return ids, counts, unpack_column("polygons.point", table.point, "<f4", total, 2)


def fill(polygons: Polygons, *, limits: Limits = DEFAULT_LIMITS) -> PanopticMap:
    """The map that the polygons enclose: a pixel belongs to the last segment that has its centre.

    Raises `WireError` where that would be much more than a map, and for points that are no numbers.
    """
    width, height = polygons.width, polygons.height
    check_area("polygons", width, height, limits.picture_pixels)
    if not np.isfinite(polygons.points).all():
        raise WireError("polygons.point: a point that is not finite; such a polygon encloses nothing")
    pixels = np.zeros(width * height, dtype=np.uint16)
    covered = 0
    for segment_id in polygons.segments.ids.tolist():
        starts, lengths = _spans(polygons, segment_id, limits)
        covered += int(lengths.sum())
        if covered > MOST_OVERLAP * width * height:
            raise WireError(f"polygons: they cover more than {MOST_OVERLAP} times the map")
        steps = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        pixels[np.repeat(starts, lengths) + steps] = segment_id
    return PanopticMap(pixels.reshape(height, width), polygons.segments, polygons.transform)


def load() -> None:
    """Load what thinning needs, else loaded with the first polygons."""
    import cv2  # noqa: F401


def thinned(ring: npt.NDArray[np.int32], tolerance: float) -> npt.NDArray[np.int32]:
    """The ring [p, 2] without corners that lie within the tolerance of what is left; itself where too little is."""
    if tolerance <= 0 or len(ring) <= FEWEST_CORNERS:
        return ring
    import cv2

    kept = cv2.approxPolyDP(ring.reshape(-1, 1, 2), tolerance, closed=True).reshape(-1, 2)
    return ring if len(kept) < 3 else np.asarray(kept, dtype=np.int32)


def _rings(panoptic: PanopticMap) -> Iterator[tuple[int, list[npt.NDArray[np.int32]]]]:
    """Each segment that has pixels, and its rings in corners of the map's pixels."""
    top, left, bottom, right = _extents(panoptic)
    for segment_id in panoptic.segments.ids.tolist():
        if bottom[segment_id] > top[segment_id]:
            part = panoptic.ids[top[segment_id] : bottom[segment_id], left[segment_id] : right[segment_id]]
            yield segment_id, rings_of(part == segment_id, left=int(left[segment_id]), top=int(top[segment_id]))


def _extents(panoptic: PanopticMap) -> tuple[Int64, Int64, Int64, Int64]:
    """Top, left, bottom and right of what each id fills, by id; bottom 0 for one that fills nothing."""
    ids = panoptic.ids
    size = max(int(ids.max()), int(panoptic.segments.ids.max(initial=0))) + 1
    changes = np.ones(ids.shape, dtype=bool)
    changes[:, 1:] = ids[:, 1:] != ids[:, :-1]
    rows, firsts = np.nonzero(changes)
    values = ids[rows, firsts]
    ends = np.append(firsts[1:], 0)
    ends[ends == 0] = panoptic.width
    top, left = np.full(size, panoptic.height), np.full(size, panoptic.width)
    bottom, right = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    np.minimum.at(top, values, rows)
    np.minimum.at(left, values, firsts)
    np.maximum.at(bottom, values, rows + 1)
    np.maximum.at(right, values, ends)
    return top, left, bottom, right


def rings_of(mask: npt.NDArray[np.bool_], *, left: int = 0, top: int = 0) -> list[npt.NDArray[np.int32]]:
    """The rings [p, 2] (x, y) around a mask [h, w] that lies at `left` and `top`, corners only, along sides of pixels.

    Every corner ends one side that lies and one that stands. Along a row of corners sides lie between the first and
    the second, the third and the fourth; down a column they stand likewise. Where two pixels touch at a corner only,
    there are two corners in one place, paired so that the rings turn away from each other.
    """
    around = np.pad(mask, 1)
    a, b, c, d = around[:-1, :-1], around[:-1, 1:], around[1:, :-1], around[1:, 1:]
    ys, xs = np.nonzero(a ^ b ^ c ^ d)
    touch_y, touch_x = np.nonzero((a == d) & (b == c) & (a != b))
    falling = a[touch_y, touch_x].astype(np.int64)  # the pixels lie at the upper left and the lower right
    nothing = np.zeros_like(touch_y)
    ys, xs = np.concatenate([ys, touch_y, touch_y]), np.concatenate([xs, touch_x, touch_x])
    single = np.zeros(len(ys) - 2 * len(touch_y), dtype=np.int64)
    to_right = np.concatenate([single, nothing, nothing + 1])  # which of two in one place has its side on the right
    downward = np.concatenate([single, 1 - falling, falling])
    return _followed(
        _pairs(np.lexsort((to_right, xs, ys))), _pairs(np.lexsort((downward, ys, xs))), xs + left, ys + top
    )


def _pairs(order: Int64) -> list[int]:
    """The other end of each corner's side, the first and the second in the order being two ends."""
    other = np.empty(len(order), dtype=np.int64)
    other[order[::2]], other[order[1::2]] = order[1::2], order[::2]
    return list(other.tolist())


def _followed(lying: list[int], standing: list[int], xs: Int64, ys: Int64) -> list[npt.NDArray[np.int32]]:
    corners = np.stack([xs, ys], axis=1).astype(np.int32)
    seen = bytearray(len(lying))
    order: list[int] = []
    ends = []
    for first in range(len(lying)):
        if seen[first]:
            continue
        at = first
        while not seen[at]:
            across = lying[at]
            seen[at] = seen[across] = 1
            order += (at, across)
            at = standing[across]
        ends.append(len(order))
    return np.split(corners[order], ends[:-1]) if ends else []


def _spans(polygons: Polygons, segment_id: int, limits: Limits) -> tuple[Int64, Int64]:
    """Starts and lengths of the runs of pixels, row by row, whose centres a segment's rings enclose."""
    at, width, height = polygons.transform, polygons.width, polygons.height
    rings = [(ring - [at.offset_x, at.offset_y]) / [at.scale_x, at.scale_y] for ring in polygons.of(segment_id)]
    if not rings:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    x0, y0, x1, y1 = np.hstack([np.concatenate(rings), ends]).astype(np.float64).T
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    past = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64)
    rows = past - first
    check_count("polygons: sides by rows", int(rows.sum()), limits.runs)
    row = np.repeat(first, rows) + np.arange(int(rows.sum())) - np.repeat(np.cumsum(rows) - rows, rows)
    x0, y0, x1, y1 = (np.repeat(column, rows) for column in (x0, y0, x1, y1))
    x = x0 + (row + 0.5 - y0) / np.where(y1 == y0, 1.0, y1 - y0) * (x1 - x0)
    order = np.lexsort((x, row))
    edge = np.clip(np.ceil(x[order] - 0.5), 0, width).astype(np.int64)
    lengths = edge[1::2] - edge[::2]
    return (row[order][::2] * width + edge[::2])[lengths > 0], lengths[lengths > 0]
