"""What is drawn of a comparison."""

from __future__ import annotations

from pathlib import Path

import cv2

from tests.benchmarks.bars import grouped, plot
from tests.benchmarks.tracking import means_of

ROWS = [
    {"name": "a, against x", "ours": 2.0, "theirs": 1.0, "group": "a", "bars": {"ours": 2.0, "x": 1.0}},
    {"name": "a, against y", "ours": 2.0, "theirs": None, "group": "a", "bars": {"ours": 2.0, "y": None}},
    {"name": "time", "ours": 1.0, "theirs": 2.0},
    {"name": "b, against x", "ours": 3.0, "theirs": 4.0, "group": "b", "bars": {"ours": 3.0, "x": 4.0}},
]


def test_rows_of_a_group_are_put_together_and_what_was_not_measured_has_no_bar() -> None:
    assert grouped(ROWS) == {"a": {"ours": 2.0, "x": 1.0}, "b": {"ours": 3.0, "x": 4.0}}


def test_a_picture_is_drawn_where_there_is_something_to_draw(tmp_path: Path) -> None:
    assert plot(ROWS, tmp_path / "bars.png", title="Bars")
    assert cv2.imread(str(tmp_path / "bars.png")) is not None
    assert not plot(ROWS[2:3], tmp_path / "none.png", title="None")
    assert not (tmp_path / "none.png").exists()


def test_the_mean_of_sequences_is_that_of_each_tracker() -> None:
    of = {"SORT": 1.0, "ByteTrack": 2.0, "OC-SORT": 3.0}
    hotas = {"a": {"ours": 4.0, **of}, "b": {"ours": 2.0, **{name: 3 * hota for name, hota in of.items()}}}
    rows = means_of(hotas, "all")
    assert [(row["name"], row["ours"], row["theirs"]) for row in rows] == [
        ("HOTA, mean of all, against SORT", 3.0, 2.0),
        ("HOTA, mean of all, against ByteTrack", 3.0, 4.0),
        ("HOTA, mean of all, against OC-SORT", 3.0, 6.0),
    ]
    assert rows[-1]["bars"] == {"ours": 3.0, "SORT": 2.0, "ByteTrack": 4.0, "OC-SORT": 6.0}
    assert means_of({}, "all") == []
