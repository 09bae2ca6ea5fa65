"""Messages written by version 1.0, kept: every later 1.x reads them alike, and this one still writes their bytes.

`python -m tests.pipeline.wire.test_golden` writes the files of a new minor version; those that are there stay.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zstandard

from pipeline.messages import (
    Classes,
    Detections,
    FrameResult,
    Gap,
    ModelInfo,
    PanopticMap,
    Picture,
    Segments,
    SourceStatus,
    Timings,
    Tracks,
    Transform,
)
from pipeline.wire import (
    MASK_FORMS,
    RESULT_KINDS,
    Header,
    decode_gap,
    decode_header,
    decode_id_map,
    decode_picture,
    decode_result,
    decode_status,
    encode_gap,
    encode_header,
    encode_picture,
    encode_result,
    encode_status,
    result_from_json,
    result_to_json,
)
from pipeline.wire.coco import encode_coco
from pipeline.wire.crops import encode_crops
from tests.pipeline.wire.samples import same

GOLDEN = Path(__file__).parent / "golden"
IDS = [
    [0, 1, 1, 1, 1, 1],
    [1, 1, 3, 3, 1, 1],
    [2, 2, 3, 3, 2, 2],
    [2, 2, 2, 2, 2, 2],
]
RESULT = FrameResult(
    source_id="door",
    epoch=2,
    seq=41,
    pts=123_000,
    time_base=Fraction(1, 90_000),
    capture_time_ns=1_790_000_000_123_456_789,
    clock="rtcp",
    width=24,
    height=16,
    classes=Classes(things=("person", "car"), stuff=("sky", "road")),
    model=ModelInfo("everyframe-nano", "1"),
    detections=Detections(
        boxes=np.array([[8, 4, 16.25, 12], [0.125, 1, 2, 3]], np.float32),
        scores=np.array([0.75, 0.125], np.float32),
        labels=np.array([1, 0], np.int32),
        raw_scores=np.array([0.75, 0.5], np.float32),
    ),
    track_ids=np.array([7, -1], np.int64),
    tracks=Tracks(
        ids=np.array([7, 5], np.int64),
        boxes=np.array([[8, 4, 16, 12], [20, 4, 24, 9]], np.float32),
        labels=np.array([1, 0], np.int32),
        scores=np.array([0.75, 0.25], np.float32),
        states=np.array([1, 2], np.uint8),
        detection_index=np.array([0, -1], np.int32),
    ),
    panoptic=PanopticMap(
        ids=np.array(IDS, np.uint16),
        segments=Segments(
            ids=np.array([1, 2, 3], np.int32),
            labels=np.array([2, 3, 1], np.int32),
            is_thing=np.array([False, False, True]),
            scores=np.array([1, 1, 0.75], np.float32),
            areas=np.array([9, 10, 4], np.int32),
            boxes=np.array([[0, 0, 24, 8], [0, 8, 24, 16], [8, 4, 16, 12]], np.float32),
            detection_index=np.array([-1, -1, 0], np.int32),
            track_ids=np.array([-1, -1, 7], np.int64),
        ),
        transform=Transform(4.0, 4.0, 0.0, 0.0),
    ),
    discontinuity=True,
    timings=Timings(batch_size=2, wait_ms=1.25, stage_ms={"detect": 9.5, "track": 0.25}, latency_ms=31.5),
)
STATUS = SourceStatus(
    "door", "STREAMING", epoch=2, message="fine", captured=10, resulted=7, dropped={"late": 2}, in_flight=1
)
PICTURE = Picture(
    source_id="door",
    epoch=2,
    seq=41,
    pts=123_000,
    time_base=Fraction(1, 90_000),
    capture_time_ns=1_790_000_000_123_456_789,
    clock="rtcp",
    width=24,
    height=16,
    jpeg_width=6,
    jpeg_height=4,
    jpeg=(GOLDEN / "frame.jpg").read_bytes(),
)
GAP = Gap("door", 2, 42, 44, "backlog")
HEADER = Header(
    type="result",
    kind="all",
    session=0x0123456789ABCDEF,
    number=42,
    gap_before=3,
    publish_time_ns=1_790_000_000_000_000_000,
)

# Which corners of a polygon are left out is OpenCV's choice; what was written once is read all the same.
POLYGONS = {"result-masks.polygons": encode_result(RESULT, "masks.polygons")}
FORMS = [form for form in MASK_FORMS if form != "masks.polygons"]
WRITTEN: dict[str, bytes] = {
    **{f"result-{kind}": encode_result(RESULT, kind) for kind in (*RESULT_KINDS, *FORMS)},
    "frame": encode_picture(PICTURE),
    "gap": encode_gap(GAP),
    "status": encode_status(STATUS),
    "header": encode_header(HEADER),
}


def unpacked(data: bytes) -> Any:
    """The message's fields; run lengths as they are, since zstd may compress better one day and be no less right."""
    fields = msgspec.msgpack.decode(data)
    panoptic = fields.get("panoptic", {})
    for part, name in ((panoptic, "id_map"), (panoptic.get("crops", {}), "lengths")):
        if name in part:
            part[name] = zstandard.ZstdDecompressor().decompress(part[name])
    return fields


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_what_was_written(name: str) -> None:
    golden = (GOLDEN / f"{name}.msgpack").read_bytes()
    fields, written = unpacked(golden), unpacked(WRITTEN[name])
    assert written == fields
    assert list(written) == list(fields)
    if "panoptic" not in fields:
        assert WRITTEN[name] == golden


def test_what_was_written_is_read() -> None:
    read = {path.stem: path.read_bytes() for path in GOLDEN.glob("*.msgpack")}
    assert same(decode_result(read["result-all"]), RESULT)
    assert same(decode_result(read["result-boxes"]).detections, RESULT.detections)
    assert same(decode_result(read["result-tracks"]).tracks, RESULT.tracks)
    assert same(decode_result(read["result-masks"]).panoptic.ids, RESULT.panoptic.ids)  # type: ignore[union-attr]
    masks = decode_result(read["result-masks"])
    for form in ("crops", "coco"):
        assert same(decode_result(read[f"result-masks.{form}"]), masks)
    assert decode_result(read["result-masks.half"]).panoptic.ids.tolist() == [[1, 3, 1], [2, 2, 2]]  # type: ignore[union-attr]
    assert decode_result(read["result-masks.quarter"]).panoptic.ids.tolist() == [[3, 2]]  # type: ignore[union-attr]
    polygons = decode_result(read["result-masks.polygons"]).polygons
    assert polygons is not None
    assert sorted(map(tuple, polygons.of(3)[0].tolist())) == [(8, 4), (8, 12), (16, 4), (16, 12)]
    assert same(decode_picture(read["frame"]), PICTURE)
    assert decode_gap(read["gap"]) == GAP
    assert decode_status(read["status"]) == STATUS
    assert decode_header(read["header"]) == HEADER


def test_the_json_line_is_what_it_was() -> None:
    golden = json.loads((GOLDEN / "result.json").read_text())
    assert same(result_from_json(golden).panoptic.ids, RESULT.panoptic.ids)  # type: ignore[union-attr]
    shown = result_to_json(RESULT)
    assert shown["panoptic"].pop("id_map")
    assert golden["panoptic"].pop("id_map")
    assert json.dumps(shown) == json.dumps(golden)


def test_the_worked_example_of_the_specification_is_true() -> None:
    page = (Path(__file__).parents[3] / "pipeline" / "wire" / "README.md").read_text()
    coded = bytes.fromhex(next(line for line in page.splitlines() if line.startswith("28 b5 2f fd")))
    assert len(coded) == 36
    assert decode_id_map(coded, width=6, height=4).tolist() == IDS


def test_the_forms_of_the_worked_example_are_true() -> None:
    page = (Path(__file__).parents[3] / "pipeline" / "wire" / "README.md").read_text()
    panoptic = RESULT.panoptic
    assert panoptic is not None
    rows = panoptic.segments.ids
    assert all(f"`{text}`" in page for text in encode_coco(panoptic.ids, rows))
    crops = encode_crops(panoptic.ids, rows)
    boxes = " · ".join(" ".join(map(str, box)) for box in np.frombuffer(crops.box, "<i4").reshape(-1, 4).tolist())
    runs = np.frombuffer(crops.runs, "<i4").tolist()
    raw = zstandard.ZstdDecompressor().decompress(bytes(crops.lengths))[: sum(runs)]  # all are below 256
    lengths = " · ".join(
        " ".join(map(str, own)) for own in np.split(np.frombuffer(raw, np.uint8), np.cumsum(runs)[:-1])
    )
    assert f"`box` {boxes}; `runs` {' '.join(map(str, runs))}; lengths {lengths}" in page


def write() -> None:
    """Write what is not there yet."""
    files = {f"{name}.msgpack": data for name, data in (WRITTEN | POLYGONS).items()}
    files["result.json"] = (json.dumps(result_to_json(RESULT)) + "\n").encode()
    for name, data in files.items():
        if not (GOLDEN / name).exists():
            (GOLDEN / name).write_bytes(data)


if __name__ == "__main__":
    write()
