"""What is drawn of a comparison."""

from __future__ import annotations

from pathlib import Path

import cv2

from tests.benchmarks.bars import grouped, plot

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
