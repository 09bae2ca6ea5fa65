import json
import resource
from fractions import Fraction

import numpy as np
import pytest

from pipeline.errors import SinkError
from pipeline.messages import Gap, SourceStatus, Timings
from stages.publish.jsonl import JsonLinesSink, LineFile
from tests.stages.publish.scenes import CAR, ROAD, panoptic, result, tracked


def some_results(wait_ms=1.5):
    ids = np.zeros((18, 32), dtype=np.uint16)
    ids[:9], ids[4:12, 10:20] = 1, 2
    for pts in range(5):
        detections, tracks = tracked([[100, 20, 160, 90]], ids=[4], labels=[CAR])
        shown = panoptic(ids, [CAR], stuff=[ROAD])
        yield result(
            detections=detections,
            tracks=tracks,
            panoptic=shown,
            pts=pts,
            time_base=Fraction(1001, 30000),
            timings=Timings(batch_size=1, wait_ms=wait_ms, stage_ms={"detect": wait_ms}, latency_ms=9.0),
        )


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_a_result_with_who_and_what(tmp_path):
    sink = JsonLinesSink(tmp_path / "new" / "folder")
    for item in some_results():
        sink.write(item)
    sink.close()
    lines = lines_of(tmp_path / "new" / "folder" / "results.jsonl")
    assert [(line["source_id"], line["epoch"], line["seq"]) for line in lines] == [("door", 1, i) for i in range(5)]
    timings = lines_of(tmp_path / "new" / "folder" / "timings.jsonl")
    assert timings[0] == {
        "source_id": "door",
        "epoch": 1,
        "seq": 0,
        "batch_size": 1,
        "wait_ms": 1.5,
        "stage_ms": {"detect": 1.5},
        "latency_ms": 9.0,
    }


def test_results_repeat_byte_for_byte_whatever_the_run_took(tmp_path):
    for name, wait_ms in (("one", 1.5), ("two", 99.25)):
        sink = JsonLinesSink(tmp_path / name)
        for item in some_results(wait_ms):
            sink.write(item)
        sink.close()
    one, two = ((tmp_path / name / "results.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.count(b"\n") == 5
    assert b"latency" not in one
    assert b"stage_ms" not in one


def test_a_gap_stands_at_its_place_and_a_status_nowhere(tmp_path):
    sink = JsonLinesSink(tmp_path)
    first, second, *_ = some_results()
    for item in (first, Gap("door", 1, 1, 3, "backlog"), SourceStatus("door", "STREAMING", 1), second):
        sink.write(item)
    sink.close()
    lines = lines_of(tmp_path / "results.jsonl")
    assert len(lines) == 3
    assert [line["type"] for line in lines] == ["result", "gap", "result"]
    gap = {"source_id": "door", "epoch": 1, "first_seq": 1, "last_seq": 3, "reason": "backlog"}
    assert gap.items() <= lines[1].items()


def test_a_file_can_be_followed_while_it_grows(tmp_path):
    sink = JsonLinesSink(tmp_path)
    for count, item in enumerate(some_results(), start=1):
        sink.write(item)
        assert len(lines_of(tmp_path / "results.jsonl")) == count
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="it is closed"):
        sink.write(item)


def test_a_full_disk_is_told_of_and_leaves_whole_lines(tmp_path):
    lines = LineFile(tmp_path / "some.jsonl")
    lines.write({"a": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(SinkError, match=r"some\.jsonl: cannot be written: File too large; .*--output"):
            lines.write({"b": "x" * 500})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    lines.write({"c": 3})
    lines.close()
    assert lines_of(tmp_path / "some.jsonl") == [{"a": 1}, {"c": 3}]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"file/results\.jsonl: cannot be written: .*--output"):
        JsonLinesSink(tmp_path / "file")
