"""Parquet: every object and every frame, as pandas, DuckDB and Polars read them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as pycocotools

from pipeline.messages import FrameResult
from stages.exports.lines import read_items
from tests.stages.exports.recordings import (
    Recording,
    export,
    lost,
    recording,
    results_in,
    without_masks,
    without_objects,
)

pq: Any = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
README = Path(__file__).parents[3] / "stages" / "exports" / "README.md"


def rows(folder: Path, name: str = "objects") -> list[dict[str, Any]]:
    """The rows of a table; times as nanoseconds."""
    table = pq.read_table(folder / f"{name}.parquet")
    times = table["capture_time"].cast("int64").to_pylist()
    others = table.drop(["capture_time"]).to_pylist()  # as Python's own times they would need pandas
    return [row | {"capture_time": time} for row, time in zip(others, times, strict=True)]


def test_every_object_of_real_results_is_a_row(crossing: Path) -> None:
    folder = crossing / "crossing"
    export(folder, crossing / "crossing.mp4", "parquet")
    results = results_in(read_items(folder / "results.jsonl"))
    found, frames = rows(folder), rows(folder, "frames")
    assert len(found) == sum(len(result.detections) for result in results) > 200
    assert [row["objects"] for row in frames] == [len(result.detections) for result in results]
    at = iter(found)
    for result in results:
        ids = result.panoptic.at_size(1280, 720) if result.panoptic is not None else None
        for i in range(len(result.detections)):
            row = next(at)
            assert (row["epoch"], row["seq"], row["frame"], row["object"]) == (1, result.seq, result.seq, i)
            box = [row["x1"], row["y1"], row["x2"], row["y2"]]
            assert box == result.detections.boxes[i].tolist()
            assert row["score"] == result.detections.scores[i]
            assert row["class_name"] == result.class_name(row["label"])
            assert row["track_id"] == (None if result.track_ids[i] < 0 else result.track_ids[i])
            if result.seq % 13 == 0 and row["mask"] is not None:
                mask = pycocotools.decode({"size": [720, 1280], "counts": row["mask"]}).astype(bool)
                assert mask.sum() == row["mask_area"] > 0
                assert ids is not None
                assert len(np.unique(ids[mask])) == 1
    assert sum(row["mask"] is not None for row in found) > 100


def test_the_columns_are_of_the_frame_and_the_object(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path, "parquet")
    result = results_in(small.items)[3]
    row = rows(folder)[3 * 3]
    expected = {
        "source_id": "clip",
        "pts_seconds": pytest.approx(3 / 25),
        "capture_time": result.capture_time_ns,
        "width": 96,
        "height": 64,
        "analysed": True,
        "track_id": 1,
        "track_state": "confirmed",
        "label": 1,
        "class_name": "car",
        "raw_score": pytest.approx(0.95),
        "mask_area": 24 * 16,
    }
    assert {name: row[name] for name in expected} == expected
    third = rows(folder)[3 * 3 + 2]
    assert (third["track_id"], third["track_state"], third["mask"], third["mask_area"]) == (None, None, None, None)


def test_columns_are_documented_in_the_schema_and_on_the_page(small: Recording, tmp_path: Path) -> None:
    folder = small.into(tmp_path, "parquet")
    page = README.read_text()
    for name in ("objects", "frames"):
        schema = pq.read_schema(folder / f"{name}.parquet")
        assert json.loads(schema.metadata[b"everyframe.things"]) == ["person", "car"]
        assert schema.metadata[b"everyframe.model"] == b"net 1"
        for field in schema:
            text = field.metadata[b"description"].decode()
            assert f"| `{field.name}` |" in page, field.name
            assert text in page, text


def test_a_gap_and_empty_frames_are_rows_of_frames_alone(small: Recording, tmp_path: Path) -> None:
    def change(result: FrameResult) -> Any:
        item = lost(4, 6)(result)
        return without_objects(result) if result.seq == 8 else item

    folder = recording(small.video, change=change).into(tmp_path, "parquet")
    frames = rows(folder, "frames")
    assert [row["frame"] for row in frames] == [row["seq"] for row in frames] == [*range(12)]
    assert [row["gap"] for row in frames] == [None] * 4 + ["inference_error"] * 3 + [None] * 5
    assert [row["objects"] for row in frames] == [3] * 4 + [0] * 3 + [3, 0, 3, 3, 3]
    assert [row["tracks"] for row in frames] == [2] * 4 + [0] * 3 + [2, 0, 2, 2, 2]
    assert [row["analysed"] for row in frames[3:5]] == [True, None]
    assert {row["frame"] for row in rows(folder)} == {0, 1, 2, 3, 7, 9, 10, 11}


def test_epochs_go_on_counting_frames(two_sizes: Recording, tmp_path: Path) -> None:
    frames = rows(two_sizes.into(tmp_path, "parquet"), "frames")
    assert [row["frame"] for row in frames] == [*range(24)]
    assert [(row["epoch"], row["seq"], row["width"]) for row in frames[11:13]] == [(1, 11, 96), (2, 0, 64)]


def test_frames_that_were_not_analysed_say_so(crossing: Path) -> None:
    folder = crossing / "fps" / "crossing"
    export(folder, crossing / "crossing.mp4", "parquet")
    frames = rows(folder, "frames")
    assert [row["analysed"] for row in frames[:11]] == [True, *[False] * 4] * 2 + [True]
    predicted = [row for row in rows(folder) if not row["analysed"]]
    assert {row["track_state"] for row in predicted} == {"confirmed"}
    assert all(row["mask"] is None for row in predicted)
    assert not any(row["masks"] for row in frames if not row["analysed"])


def test_without_masks_and_without_results(small: Recording, tmp_path: Path) -> None:
    folder = recording(small.video, change=without_masks).into(tmp_path / "boxes", "parquet")
    assert {row["mask"] for row in rows(folder)} == {None}
    empty = Recording(small.video, ()).into(tmp_path / "empty", "parquet")
    for name in ("objects", "frames"):
        table = pq.read_table(empty / f"{name}.parquet")
        assert table.num_rows == 0
        assert table.schema.names == pq.read_schema(folder / f"{name}.parquet").names


def test_row_groups_are_bounded(small: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.exports.parquet.GROUP_ROWS", 7)
    folder = small.into(tmp_path, "parquet")
    about = pq.ParquetFile(folder / "objects.parquet").metadata
    groups = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    assert sum(groups) == 36
    assert max(groups) <= 7
    assert len(rows(folder)) == 36


def test_row_groups_of_long_masks_are_smaller(
    small: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.exports.parquet.GROUP_TEXT", 1)
    about = pq.ParquetFile(small.into(tmp_path, "parquet") / "objects.parquet").metadata
    assert [about.row_group(i).num_rows for i in range(about.num_row_groups)] == [3] * 12


def test_times_before_1970_and_far_away_are_kept(small: Recording, tmp_path: Path) -> None:
    items = tuple(
        replace(item, capture_time_ns=time) for item, time in zip(results_in(small.items), (-1, 2**62), strict=False)
    )
    folder = replace(small, items=items).into(tmp_path, "parquet")
    assert [row["capture_time"] for row in rows(folder, "frames")] == [-1, 2**62]


def test_pandas_reads_it(small: Recording, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    folder = small.into(tmp_path, "parquet")
    table = pandas.read_parquet(folder / "objects.parquet")
    assert table.groupby("class_name").size().to_dict() == {"car": 12, "person": 24}
    assert str(table["capture_time"].dtype) == "datetime64[ns, UTC]"
    assert table["track_id"].isna().sum() == 12


def test_duckdb_reads_it(small: Recording, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    folder = small.into(tmp_path, "parquet")
    asked = (
        f"SELECT f.frame, count(o.object) FROM '{folder}/frames.parquet' f LEFT JOIN '{folder}/objects.parquet' o "
        "USING (epoch, seq) GROUP BY f.frame ORDER BY f.frame"
    )
    assert duckdb.sql(asked).fetchall() == [(i, 3) for i in range(12)]


def test_polars_reads_it(small: Recording, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="needs polars")
    folder = small.into(tmp_path, "parquet")
    table = polars.read_parquet(folder / "objects.parquet")
    masks = table.filter(polars.col("mask").is_not_null())
    assert masks["class_name"].value_counts(sort=True)["count"].to_list() == [12, 12]
    assert table["capture_time"].dtype == polars.Datetime("ns", "UTC")
