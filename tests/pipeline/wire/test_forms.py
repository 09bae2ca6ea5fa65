"""Masks in other forms: exact where they say so, beside slow references and pycocotools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard
from pycocotools import mask as pycocotools

from pipeline.errors import WireError
from pipeline.messages import FrameResult, PanopticMap, Polygons, Segments, Transform
from pipeline.wire import MASK_FORMS, Limits, MaskForm, decode_result, encode_result, fill, trace
from pipeline.wire.coco import counts_of, decode_coco, encode_coco
from pipeline.wire.crops import decode_crops, encode_crops
from pipeline.wire.forms import reduced
from pipeline.wire.idmap import compress_lengths
from pipeline.wire.polygons import TOLERANCE, rings_of
from pipeline.wire.schema import CropTable
from tests.pipeline.wire.samples import blobs, make_result, same

Map = np.ndarray[Any, np.dtype[np.uint16]]


def chequered(height: int, width: int) -> Map:
    """Pixels that touch at corners only."""
    return ((np.indices((height, width)).sum(axis=0) % 2) + 1).astype(np.uint16)


def noise(height: int, width: int, ids: int, seed: int) -> Map:
    return np.random.default_rng(seed).integers(0, ids + 1, (height, width)).astype(np.uint16)


MAPS: dict[str, Map] = {
    "one pixel": np.array([[1]], np.uint16),
    "void": np.zeros((3, 5), np.uint16),
    "one segment": np.full((4, 3), 2, np.uint16),
    "one row": np.array([[0, 1, 1, 2, 0]], np.uint16),
    "one column": np.array([[1], [1], [0], [3]], np.uint16),
    "a hole": np.array([[1, 1, 1, 1], [1, 0, 2, 1], [1, 2, 0, 1], [1, 1, 1, 1]], np.uint16),
    "chequered": chequered(7, 8),
    "large id": np.array([[65_535, 0], [0, 65_535]], np.uint16),
    "blobs": blobs(54, 96, 8),
    "noise": noise(23, 17, 5, 1),
    "wide": noise(2, 4_000, 2, 2),
}

several_maps = pytest.mark.parametrize("ids", MAPS.values(), ids=MAPS.keys())


def table_ids(ids: Map) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The ids of the map, one that fills nothing among them, not in order."""
    return np.array([*np.unique(ids[ids > 0])[::-1].tolist(), 60_000], np.int32)


def panoptic_of(ids: Map, transform: Transform | None = None) -> PanopticMap:
    rows = table_ids(ids)
    n = len(rows)
    segments = Segments(
        ids=rows,
        labels=np.zeros(n, np.int32),
        is_thing=np.ones(n, bool),
        scores=np.ones(n, np.float32),
        areas=np.array([(ids == i).sum() for i in rows], np.int32),
        boxes=np.zeros((n, 4), np.float32),
        detection_index=np.full(n, -1, np.int32),
        track_ids=np.full(n, -1, np.int64),
    )
    return PanopticMap(ids, segments, transform or Transform())


def slow_lengths(pixels: np.ndarray[Any, Any]) -> list[int]:
    """Alternating lengths, the first of what is off."""
    lengths, on = [], False
    for value, group in groupby(pixels.astype(bool).reshape(-1).tolist()):
        if value != on:
            lengths.append(0)
        lengths.append(len(list(group)))
        on = not value
    return lengths


@several_maps
def test_coco_is_what_pycocotools_writes_and_reads(ids: Map) -> None:
    rows = table_ids(ids)
    for segment_id, text in zip(rows.tolist(), encode_coco(ids, rows), strict=True):
        mask = (ids == segment_id).astype(np.uint8)
        assert text.encode() == pycocotools.encode(np.asfortranarray(mask))["counts"]
        assert counts_of(text).tolist() == slow_lengths(mask.T.reshape(-1))
        decoded = pycocotools.decode({"size": list(ids.shape), "counts": text})
        assert np.array_equal(decoded, mask)


@several_maps
def test_coco_gives_the_map_back(ids: Map) -> None:
    rows = table_ids(ids)
    height, width = ids.shape
    assert np.array_equal(decode_coco(encode_coco(ids, rows), rows, width=width, height=height), ids)


@several_maps
def test_crops_are_what_a_slow_reference_says(ids: Map) -> None:
    rows = table_ids(ids)
    table = encode_crops(ids, rows)
    boxes = np.frombuffer(table.box, "<i4").reshape(-1, 4)
    for segment_id, box in zip(rows.tolist(), boxes.tolist(), strict=True):
        ys, xs = np.nonzero(ids == segment_id)
        if len(ys) == 0:
            assert box == [0, 0, 0, 0]
            continue
        left, top, wide, high = box
        assert (left, top) == (xs.min(), ys.min())
        assert (left + wide, top + high) == (xs.max() + 1, ys.max() + 1)
    height, width = ids.shape
    assert np.array_equal(decode_crops(table, rows, width=width, height=height), ids)


def test_the_lengths_of_crops_alternate_row_by_row() -> None:
    ids = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 2]], np.uint16)
    table = encode_crops(ids, np.array([1, 2], np.int32))
    raw = zstandard.ZstdDecompressor().decompress(bytes(table.lengths))
    lengths = np.frombuffer(raw, np.uint8).reshape(4, -1).T.copy().view("<u4").reshape(-1).tolist()
    assert np.frombuffer(table.runs, "<i4").tolist() == [4, 2]
    assert lengths == slow_lengths(ids[:, 1:3] == 1) + slow_lengths(ids[2:, 3:] == 2) == [0, 2, 1, 3, 0, 1]


@several_maps
@pytest.mark.parametrize("transform", [Transform(), Transform(4.0, 4.0, 0.0, -12.5)], ids=["as it is", "scaled"])
def test_polygons_without_tolerance_enclose_exactly_the_map(ids: Map, transform: Transform) -> None:
    filled = fill(trace(panoptic_of(ids, transform), tolerance=0.0))
    assert np.array_equal(filled.ids, ids)


def test_rings_do_not_touch_themselves() -> None:
    assert len(rings_of(np.array([[1, 0], [0, 1]], bool))) == 2
    assert len(rings_of(np.array([[0, 1], [1, 0]], bool))) == 2
    (ring,) = rings_of(np.array([[1, 1], [0, 1]], bool))
    assert sorted(map(tuple, ring.tolist())) == [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2)]
    assert rings_of(np.zeros((2, 2), bool)) == []


def distances(points: np.ndarray[Any, Any], ring: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Of each point [p] to the nearest place of the ring."""
    start, end = ring[None], np.roll(ring, -1, axis=0)[None]
    along = end - start
    share = ((points[:, None] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    return np.asarray(np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1))


@pytest.mark.parametrize("name", ["blobs", "a hole", "chequered", "noise"])
def test_polygons_stay_within_the_tolerance(name: str) -> None:
    panoptic = panoptic_of(MAPS[name])
    polygons = trace(panoptic)
    assert polygons.tolerance == TOLERANCE
    exact = trace(panoptic, tolerance=0.0)
    assert len(polygons.ids) == len(exact.ids)
    for segment_id in panoptic.segments.ids.tolist():
        for ring, all_corners in zip(polygons.of(segment_id), exact.of(segment_id), strict=True):
            assert len(ring) >= 3
            assert distances(all_corners, ring).max() <= TOLERANCE + 1e-6


def test_polygons_of_real_sizes_are_nearly_the_map_and_small() -> None:
    panoptic = make_result(height=270, width=480, segments=30).panoptic
    assert panoptic is not None
    polygons = trace(panoptic)
    filled = fill(polygons)
    assert (filled.ids == panoptic.ids).mean() > 0.98
    assert len(polygons.points) < len(trace(panoptic, tolerance=0.0).points) / 3


@several_maps
@pytest.mark.parametrize("factor", [2, 4])
def test_smaller_maps_take_the_middle_pixel(ids: Map, factor: int) -> None:
    panoptic = panoptic_of(ids, Transform(3.0, 2.0, 1.0, -1.0))
    smaller = reduced(panoptic, factor)
    height, width = ids.shape
    assert smaller.ids.shape == (-(-height // factor), -(-width // factor))
    for y in range(smaller.height):
        for x in range(min(smaller.width, 50)):
            middle = min(y * factor + factor // 2, height - 1), min(x * factor + factor // 2, width - 1)
            assert smaller.ids[y, x] == ids[middle]
    assert smaller.segments.areas.tolist() == [(smaller.ids == i).sum() for i in panoptic.segments.ids]
    assert smaller.transform == Transform(3.0 * factor, 2.0 * factor, 1.0, -1.0)


def as_masks(result: FrameResult) -> FrameResult:
    """What a reader of the kind `masks` has."""
    return decode_result(encode_result(result, "masks"))


@pytest.mark.parametrize("form", ["masks.crops", "masks.coco"])
def test_exact_forms_read_as_the_masks_do(form: MaskForm) -> None:
    result = make_result(height=60, width=110)
    assert same(decode_result(encode_result(result, form)), as_masks(result))


@pytest.mark.parametrize(("form", "factor"), [("masks.half", 2), ("masks.quarter", 4)])
def test_smaller_forms_read_as_smaller_masks(form: MaskForm, factor: int) -> None:
    result = as_masks(make_result())
    assert result.panoptic is not None
    expected = replace(result, panoptic=reduced(result.panoptic, factor))
    assert same(decode_result(encode_result(make_result(), form)), expected)


def test_polygons_read_as_polygons() -> None:
    result = make_result()
    read = decode_result(encode_result(result, "masks.polygons"))
    assert read.panoptic is None
    assert isinstance(read.polygons, Polygons)
    assert result.panoptic is not None
    expected = trace(as_masks(result).panoptic)  # type: ignore[arg-type]
    assert same(read.polygons, expected)
    assert repr(read.polygons) in repr(read)


@pytest.mark.parametrize("form", MASK_FORMS)
def test_a_result_without_masks_has_none_in_any_form(form: MaskForm) -> None:
    read = decode_result(encode_result(replace(make_result(), panoptic=None), form))
    assert (read.panoptic, read.polygons, len(read.detections)) == (None, None, 0)


ROWS = np.array([1, 2], np.int32)


NO_COCO = {
    "one of two": ["04"],
    "empty": ["04", ""],
    "too few pixels": ["04", "1"],
    "no character": ["04", "p"],
    "not ascii": ["04", "é"],
    "broken off": ["04", "o"],
    "too long": ["04", "P" * 8 + "0"],
    "overlap": ["04", "04"],
    "negative": ["N6", "4"],
}


@pytest.mark.parametrize("texts", NO_COCO.values(), ids=NO_COCO.keys())
def test_what_is_no_coco_is_refused(texts: list[str]) -> None:
    with pytest.raises(WireError):
        decode_coco(texts, ROWS, width=2, height=2)


def crops_of(boxes: list[list[int]], lengths: list[list[int]]) -> CropTable:
    return CropTable(
        count=len(boxes),
        box=memoryview(np.array(boxes, "<i4").tobytes()),
        runs=memoryview(np.array([len(own) for own in lengths], "<i4").tobytes()),
        lengths=memoryview(compress_lengths(np.array([one for own in lengths for one in own], np.int64))),
    )


@pytest.mark.parametrize(
    ("boxes", "lengths"),
    [
        ([[0, 0, 2, 2]], [[0, 4]]),
        ([[0, 0, 2, 2], [0, 0, 2, 2]], [[0, 4], [3, 1]]),
        ([[0, 0, 3, 1], [0, 0, 0, 0]], [[0, 3], []]),
        ([[0, 0, 2, 1], [-1, 0, 1, 1]], [[0, 2], [0, 1]]),
        ([[0, 0, 2, 1], [0, 0, 0, 0]], [[0, 1], []]),
        ([[0, 0, 2, 1], [0, 0, 0, 0]], [[0, 2], [1]]),
        ([[0, 0, 2, 1], [0, 1, 1, 1]], [[1, 0, 1], [0, 1]]),
    ],
    ids=["one of two", "overlap", "outside", "negative", "too few pixels", "nothing has runs", "empty run"],
)
def test_what_are_no_crops_is_refused(boxes: list[list[int]], lengths: list[list[int]]) -> None:
    with pytest.raises(WireError):
        decode_crops(crops_of(boxes, lengths), ROWS, width=2, height=2)


def changed(form: MaskForm, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A message whose masks were tampered with."""
    fields = msgspec.msgpack.decode(encode_result(make_result(height=12, width=20), form))
    change(fields["panoptic"])
    return msgspec.msgpack.encode(fields)


def twice_the_first_id(panoptic: dict[str, Any]) -> None:
    ids = np.frombuffer(panoptic["segments"]["id"], "<i4").copy()
    ids[1] = ids[0]
    panoptic["segments"]["id"] = ids.tobytes()


@pytest.mark.parametrize(
    ("form", "change", "said"),
    [
        ("masks.coco", lambda p: p.pop("coco"), "one of id_map, crops, polygons, coco is needed"),
        ("masks.coco", twice_the_first_id, "two segments have the same id"),
        ("masks.coco", lambda p: p.update(width=8192, height=4321), "8192x4321 declared"),
        ("masks.crops", lambda p: p.update(width=8192, height=4321), "8192x4321 declared"),
        ("masks.polygons", lambda p: p.update(width=8192, height=4321), "8192x4321 declared"),
        ("masks.polygons", lambda p: p["polygons"].update(count=10**9), "at most"),
        ("masks.polygons", lambda p: p["polygons"].update(points=b"\2\0\0\0", id=b"\1\0\0\0", count=1), "values 2..2"),
        (
            "masks.polygons",
            lambda p: p["polygons"].update(points=b"\3\0\0\0", id=b"\xff\0\0\0", count=1, point=bytes(24)),
            "a ring of no segment",
        ),
        ("masks.crops", lambda p: p["crops"].update(runs=b"\xff" * len(p["crops"]["runs"])), "boxes with runs inside"),
    ],
)
def test_masks_that_were_tampered_with_are_refused(form: MaskForm, change: Any, said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode_result(changed(form, change))


def test_a_small_message_that_stands_for_many_runs_is_refused() -> None:
    """4,000 rows each, for 2,000 segments, from 40 KB: the parts are counted before they are made."""
    boxes = [[0, 0, 2, 4_000]] * 2_000
    table = crops_of(boxes, [[0, 8_000]] * 2_000)
    with pytest.raises(WireError, match="runs by rows"):
        decode_crops(table, np.arange(1, 2_001, dtype=np.int32), width=8_192, height=4_320)


def test_polygons_that_enclose_too_much_or_nothing_are_refused() -> None:
    panoptic = panoptic_of(np.full((4, 4), 1, np.uint16))
    polygons = trace(panoptic)
    with pytest.raises(WireError, match="not finite"):
        fill(replace(polygons, points=polygons.points * np.float32(np.nan)))
    with pytest.raises(WireError, match="sides by rows"):
        fill(polygons, limits=Limits(runs=3))
    many = make_result().panoptic
    assert many is not None
    cover = replace(panoptic_of(many.ids), segments=many.segments)
    whole = np.array([[0, 0], [many.width, 0], [many.width, many.height], [0, many.height]], np.float32)
    n = len(many.segments)
    stacked = replace(
        trace(cover), ids=many.segments.ids, counts=np.full(n, 4, np.int32), points=np.tile(whole, (n, 1))
    )
    with pytest.raises(WireError, match="more than 4 times the map"):
        fill(stacked)
