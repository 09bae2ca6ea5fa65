"""The picture of a training's log."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from stages.models.training.curves import draw_curves


def test_curves_have_a_panel_a_term_and_one_for_the_rate(tmp_path: Path) -> None:
    lines = [
        {"step": step, "rate": 1e-3, "loss": {"boxes": 200 / step, "masks": 1.0}, "pictures_per_second": 3.0}
        for step in range(20, 401, 20)
    ] + [{"step": 200, "held_out": {"boxes": 2.0, "masks": 1.1}}]
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "not a line\n")
    assert draw_curves(tmp_path)
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture is not None
    panels = 3 * 294  # title, plot and axis of each
    assert picture.shape[0] == 56 + panels


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert not draw_curves(tmp_path)
    (tmp_path / "log.jsonl").write_text("")
    assert not draw_curves(tmp_path)
    assert not (tmp_path / "curves.png").exists()


def test_a_log_that_is_broken_is_no_harm(tmp_path: Path) -> None:
    good = json.dumps({"step": 20, "rate": 1e-3, "loss": {"boxes": 2.0}}).encode()
    (tmp_path / "log.jsonl").write_bytes(b'\xff\xfe\n{"step": 2, "loss": {"boxes": 1}}\n{"step": "2"}\n' + good)
    assert draw_curves(tmp_path)
