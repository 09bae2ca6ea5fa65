"""The rows that the benchmark of video panoptic quality gives, from a clip as short as can be."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.video_panoptic import (
    AT_BEST,
    AT_MAP_SCORE,
    MIXED_UP,
    SETTINGS,
    WAYS,
    Extent,
    Faulty,
    Sums,
    measured,
    with_identities_told,
)

SHORT = Extent(worlds=1, frames=3, width=160, height=96)
FIGURES = ["STQ", "AQ", "VPQ", "VPQ of things", MIXED_UP]


def test_a_way_held_against_itself_is_as_good_and_identities_told_are_better() -> None:
    boxes = {"theirs": WAYS["theirs"]}
    alone = measured(SETTINGS[0], [Faulty()], boxes, SHORT)
    *rows, told = alone
    assert [row["name"] for row in rows] == [f"crowded, true masks with faults: {figure}" for figure in FIGURES]
    assert told["name"] == f"crowded, true masks with faults: STQ {AT_BEST}"
    assert all(row["ours"] is None and row["ratio"] is None and 0 <= row["theirs"] < 100 for row in rows)
    assert all(row["theirs"] > 0 for row in rows[:-1])
    assert rows[0]["theirs"] <= told["theirs"] < 100
    both = measured(SETTINGS[0], [Faulty()], {**boxes, "ours": WAYS["theirs"]}, SHORT)[:-1]
    assert [row["ours"] for row in both] == [row["theirs"] for row in both] == [row["theirs"] for row in rows]
    assert all(row["ratio"] == 1 for row in both[:-1])


def test_masks_are_held_against_boxes_at_the_maps_own_threshold_too() -> None:
    rows = measured(SETTINGS[0], [Faulty()], {**WAYS, AT_MAP_SCORE: WAYS["ours"]}, SHORT)
    name = f"crowded, true masks with faults: STQ, {AT_MAP_SCORE}"
    (row,) = (row for row in rows if row["name"] == name)
    assert row["ours"] == row["theirs"] == rows[0]["ours"]
    assert rows[0]["bars"].keys() == {"by masks", "by boxes", AT_MAP_SCORE, AT_BEST}


def test_a_segment_is_told_the_thing_that_it_shows_most_of() -> None:
    found = np.array([[(0, 3), (0, 3), (0, 3), (0, 4), (5, 0)]])
    truth = np.array([[(0, 9), (0, 9), (0, 7), (5, 0), (5, 0)]])
    assert with_identities_told(found, truth)[0, :, 1].tolist() == [9, 9, 9, -4, 0]


def test_a_track_belongs_to_the_thing_that_it_is_on_in_most_frames() -> None:
    sums = Sums()
    for frame, track in enumerate((4, 4, 4, 5)):
        things = (1, 2) if frame else (2, 1)
        told = np.array([[(0, things[0]), (0, things[1]), (5, 0)]])
        sums.add("a", np.array([[(0, track), (0, -3), (5, 0)]]), told, told)
    assert sums.figures()[MIXED_UP] == 100 / 4  # track 4 is on thing 2 in one of three frames, track 5 on thing 1
