"""What counts as the same, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.exporting.agreement import Agreement, Found, Tolerance, agreement, same_detections

TIGHT = Tolerance(mean=0.01, largest=0.1, iou=0.9, score=0.05, share=1.0)


def found(*rows: tuple[float, float, float, float, float, int]) -> Found:
    columns = np.array(rows, np.float32).reshape(-1, 6)
    return Found(columns[:, :4], columns[:, 4], columns[:, 5].astype(np.int32))


ONE = (0.0, 0.0, 10.0, 10.0, 0.8, 1)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (ONE, (2, 2)),
        ((0.0, 0.0, 10.0, 9.5, 0.82, 1), (2, 2)),
        ((0.0, 0.0, 10.0, 8.0, 0.8, 1), (0, 2)),  # IoU 0.8
        ((0.0, 0.0, 10.0, 10.0, 0.7, 1), (0, 2)),
        ((0.0, 0.0, 10.0, 10.0, 0.8, 2), (0, 2)),
    ],
    ids=["same", "near", "elsewhere", "less sure", "another class"],
)
def test_one_detection_against_another(other: tuple[float, ...], expected: tuple[int, int]) -> None:
    assert same_detections(found(ONE), found(other), TIGHT) == expected  # type: ignore[arg-type]


def test_just_above_the_threshold_may_meet_just_beneath() -> None:
    above, beneath = found((0, 0, 10, 10, 0.31, 0)), found((0, 0, 10, 10, 0.29, 0))
    assert same_detections(above, beneath, TIGHT) == (1, 1)  # only the one above is counted
    assert same_detections(beneath, beneath, TIGHT) == (0, 0)


def test_what_one_side_alone_finds_is_missed_by_the_other() -> None:
    assert same_detections(found(ONE), found(), TIGHT) == (0, 1)
    assert same_detections(found(), found(), TIGHT) == (0, 0)


def outputs(*, shift: float = 0.0, score: float = 0.9) -> dict[str, np.ndarray]:
    scores = np.zeros((1, 3, 2), np.float32)
    scores[0, 1, 1] = score
    given = {
        "boxes": np.array([[[0, 0, 8, 8], [2, 2, 12, 12], [4, 4, 20, 20]]], np.float32),
        "scores": scores,
        "coefficients": np.arange(6, dtype=np.float32).reshape(1, 3, 2),
        "prototypes": np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2),
        "semantic": np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2),
    }
    given["semantic"] = given["semantic"] + np.float32(shift)
    return given


def test_differences_are_shares_of_an_output_s_spread() -> None:
    measured = agreement([outputs()], [outputs(shift=0.5)], TIGHT)
    assert measured.mean["semantic"] == pytest.approx(0.5 / np.arange(12).std())
    assert measured.mean["boxes"] == 0.0
    assert (measured.same, measured.seen, measured.share, measured.pixels) == (2, 2, 1.0, 1.0)
    assert "output semantic differs by 0.14 of its spread (mean; at most 0.01 is allowed)" in measured.fault(TIGHT)


def test_detections_that_differ_are_a_fault_though_the_numbers_are_near() -> None:
    loose = Tolerance(mean=1.0, largest=10.0, iou=0.9, score=0.05, share=0.99)
    measured = agreement([outputs()], [outputs(score=0.6)], loose)
    assert measured.fault(loose) == "0 of 2 detections from 0.3 on are the same; 2 are needed"
    assert agreement([outputs()], [outputs()], loose).fault(loose) == ""


@pytest.mark.parametrize(
    ("same", "seen", "fault"),
    [
        (74, 76, ""),  # one box in place of another
        (72, 76, ""),
        (71, 76, "71 of 76 detections from 0.3 on are the same; 72 are needed"),
        (9, 10, ""),
        (8, 10, "8 of 10 detections from 0.3 on are the same; 9 are needed"),
        (980, 1000, ""),
        (979, 1000, "979 of 1000 detections from 0.3 on are the same; 980 are needed"),
        (0, 0, ""),
    ],
)
def test_of_few_detections_some_may_differ(same: int, seen: int, fault: str) -> None:
    tolerance = Tolerance(mean=1.0, largest=10.0, iou=0.9, score=0.05, share=0.98)
    assert Agreement(same=same, seen=seen).fault(tolerance) == fault


def test_numbers_that_are_none_are_a_fault() -> None:
    broken = outputs()
    broken["boxes"][0, 0, 0] = np.nan
    assert "output boxes differs by nan" in agreement([outputs()], [broken], TIGHT).fault(TIGHT)


def test_nothing_found_on_either_side_is_agreement_about_nothing() -> None:
    measured = agreement([outputs(score=0.1)], [outputs(score=0.1)], TIGHT)
    assert (measured.seen, measured.share) == (0, 1.0)
