"""What a subscriber costs by what it asks for: bytes and CPU time a result, beside one of everything.

CPU times are what is used beyond a publisher that nobody reads from, at a rate of cameras: there each result wakes the
thread that sends it and the reader, which is most of what it costs.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
from pycocotools import mask as coco

from pipeline.messages import FrameResult
from pipeline.wire import decode_result, encode_result
from tests.benchmarks.delivery.delivered import A_SECOND, Delivered, delivered, unread_seconds
from tests.benchmarks.idmap import fastest_ms, masks_of, paint
from tests.benchmarks.table import Row
from tests.pipeline.wire.samples import make_result

KINDS = ("boxes", "tracks", "masks.polygons", "masks.coco")
ROUNDS, RESULTS = 3, 200


def costs(*, quick: bool) -> list[Row]:
    """One `Subscriber` of each kind against one of `all`, and against nobody."""
    results = RESULTS // (10 if quick else 1)
    unread: list[float] = []
    sides: defaultdict[str, list[Delivered]] = defaultdict(list)
    for _ in range(1 if quick else ROUNDS):
        unread.append(unread_seconds(results, A_SECOND) / results * 1e3)
        for kind in ("all", *KINDS):
            sides[kind].append(
                delivered("zeromq", kind, readers=1, results=results, a_second=A_SECOND, how="subscriber")
            )
    nobody = statistics.median(unread)
    at = f"{A_SECOND:.0f} results a second"
    rows = [_row(f"no subscriber, {at}: publisher's CPU time a result, waking up included", "ms", nobody, None)]
    for kind in KINDS:
        who = f"one Subscriber of {kind}"
        for what, unit, value in (
            ("bytes a result", "bytes", lambda one: one.bytes_a_result),
            ("publisher's CPU time a result beyond no subscriber's", "ms", lambda one: one.publisher_ms - nobody),
            ("the subscriber's own CPU time a result", "ms", lambda one: one.reader_ms),
        ):
            ours, theirs = (statistics.median(map(value, sides[one])) for one in (kind, "all"))
            rows.append(_row(f"{who}: {what}, against all", unit, ours, theirs))
    return rows


def against_coco(name: str, result: FrameResult) -> list[Row]:
    """A message of masks against JSON with COCO's run lengths a segment, both ways and in bytes."""
    assert result.panoptic is not None
    masks = masks_of(result.panoptic.ids)

    def as_json() -> bytes:
        rows = [{**one, "counts": one["counts"].decode()} for one in coco.encode(masks)]
        return json.dumps({"seq": result.seq, "segments": rows}).encode()

    def from_json() -> Any:
        return paint(coco.decode(json.loads(theirs)["segments"]), np.zeros_like(result.panoptic.ids))  # type: ignore[union-attr]

    ours, theirs = encode_result(result, "masks"), as_json()
    return [
        _row(f"{name}: encode", "ms", fastest_ms(lambda: encode_result(result, "masks"), 20), fastest_ms(as_json, 5)),
        _row(f"{name}: decode", "ms", fastest_ms(lambda: decode_result(ours), 20), fastest_ms(from_json, 5)),
        _row(f"{name}: size", "bytes", len(ours), len(theirs)),
    ]


def _row(name: str, unit: str, ours: float, theirs: float | None) -> Row:
    ratio = None if theirs is None or ours <= 0 else theirs / ours
    return {"name": name, "ours": ours, "theirs": theirs, "ratio": ratio, "unit": unit, "target": None}


def run(*, quick: bool = False) -> list[Row]:
    """All rows."""
    small = replace(make_result(objects=20, height=270, width=480, segments=20), timings=None)
    large = make_result(objects=20, height=1080, width=1920, segments=32)
    masks = against_coco("masks message, 480×270", small) + against_coco("masks message, 1080p", large)
    return costs(quick=quick) + masks
