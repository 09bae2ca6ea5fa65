"""The rows that the benchmark of video panoptic quality gives, from a clip as short as can be."""

from __future__ import annotations

from tests.benchmarks.video_panoptic import SETTINGS, WAYS, Extent, Faulty, measured

SHORT = Extent(worlds=1, frames=3, width=160, height=96)
FIGURES = ["STQ", "AQ", "VPQ", "VPQ of things"]


def test_a_way_held_against_itself_is_as_good() -> None:
    alone = measured(SETTINGS[0], [Faulty()], WAYS, SHORT)
    assert [row["name"] for row in alone] == [f"crowded, true masks with faults: {figure}" for figure in FIGURES]
    assert all(row["ours"] is None and row["ratio"] is None for row in alone)
    both = measured(SETTINGS[0], [Faulty()], {**WAYS, "ours": WAYS["theirs"]}, SHORT)
    assert [row["ours"] for row in both] == [row["theirs"] for row in both] == [row["theirs"] for row in alone]
    assert all(row["ratio"] == 1 for row in both)
    assert all(0 < row["ours"] < 100 for row in both)
