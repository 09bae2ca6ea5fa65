"""Coding a panoptic map: one compressed id map against COCO run lengths, a segment at a time (pycocotools).

``python -m tests.benchmarks.idmap`` prints the table. pycocotools is given its masks ready-made, in the order it wants
them, and is charged neither for making them from the map nor for the JSON its counts usually travel in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco

from pipeline.wire import decode_id_map, encode_id_map
from tests.benchmarks.streets import SEGMENTS, IdMap, street

FULL_HD, NETWORK = (1080, 1920), (270, 480)  # a source picture; where the embedded model's maps are made
PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco"
MOST_PHOTOGRAPHS = 100
ENCODE_TARGET, BYTES_TARGET = 20.0, 2.0

Row = dict[str, Any]


def photographs() -> list[IdMap]:
    """The panoptic ground truth of real photographs, where the shared data is there."""
    if not (PHOTOGRAPHS / "panoptic.json").exists():
        return []
    maps = []
    for entry in json.loads((PHOTOGRAPHS / "panoptic.json").read_text())["annotations"][:MOST_PHOTOGRAPHS]:
        blue, green, red = np.moveaxis(cv2.imread(str(PHOTOGRAPHS / "panoptic" / entry["file_name"])), 2, 0).astype(int)
        _, ids = np.unique(red + 256 * green + 65_536 * blue, return_inverse=True)
        maps.append(ids.reshape(red.shape).astype(np.uint16))
    return maps


def masks_of(ids: IdMap) -> Any:
    """Every segment's mask, uint8 [h, w, n] in column-major order, as pycocotools takes them."""
    return np.asfortranarray(np.stack([ids == i for i in np.unique(ids[ids > 0])], axis=2).astype(np.uint8))


def paint(masks: Any, into: IdMap) -> IdMap:
    """What a reader of separate masks does to have one map."""
    for i in range(masks.shape[2]):
        into[masks[:, :, i] > 0] = i + 1
    return into


def fastest_ms(work: Callable[[], Any], rounds: int) -> float:
    """The fastest of several runs: the one least disturbed by what else the machine does."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def row(name: str, unit: str, ours: float, theirs: float, target: float | None = None) -> Row:
    """One line of the table."""
    return {"name": name, "ours": ours, "theirs": theirs, "ratio": theirs / ours, "unit": unit, "target": target}


def compare(name: str, ids: IdMap, *, encode_target: float | None, bytes_target: float | None) -> list[Row]:
    """Time to encode, time to decode to one map, bytes. Raises `ValueError` if a map comes back changed."""
    height, width = ids.shape
    masks, coded = masks_of(ids), encode_id_map(ids)
    lengths = coco.encode(masks)
    if not np.array_equal(decode_id_map(coded, width=width, height=height), ids):
        raise ValueError(f"{name}: the id map does not survive its coding")
    ours_encode = fastest_ms(lambda: encode_id_map(ids), 30)
    theirs_encode = fastest_ms(lambda: coco.encode(masks), 5)
    ours_decode = fastest_ms(lambda: decode_id_map(coded, width=width, height=height), 30)
    theirs_decode = fastest_ms(lambda: paint(coco.decode(lengths), np.zeros_like(ids)), 5)
    return [
        row(f"{name}: encode", "ms", ours_encode, theirs_encode, encode_target),
        row(f"{name}: decode to one map", "ms", ours_decode, theirs_decode),
        row(f"{name}: size", "bytes", len(coded), sum(len(one["counts"]) for one in lengths), bytes_target),
    ]


def real(maps: list[IdMap]) -> list[Row]:
    """Means over photographs: a few segments each, outlines drawn by people."""
    rows = [compare("photograph", ids, encode_target=None, bytes_target=None) for ids in maps]
    means = [[float(np.mean([one[i][side] for one in rows])) for side in ("ours", "theirs")] for i in range(3)]
    name = f"{len(maps)} photographs of about 640×480"
    return [row(f"{name}: {one['name'].split(': ')[1]}", one["unit"], *means[i]) for i, one in enumerate(rows[0])]


def run() -> list[Row]:
    """All rows."""
    full = compare(
        f"1080p, {SEGMENTS} segments", street(FULL_HD), encode_target=ENCODE_TARGET, bytes_target=BYTES_TARGET
    )
    small = compare(f"480×270, {SEGMENTS} segments", street(NETWORK), encode_target=None, bytes_target=None)
    maps = photographs()
    return full + small + (real(maps) if maps else [])


if __name__ == "__main__":
    for each in run():
        figures = f"{each['ours']:10.3f} {each['theirs']:10.3f} {each['unit']:<5} {each['ratio']:7.1f}x"
        print(f"{each['name']:<56} {figures}", f"(target {each['target']:.0f}x)" if each["target"] else "")
