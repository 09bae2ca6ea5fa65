"""Panoptic quality beside torchmetrics', and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.evaluation.panoptic_quality import PanopticQuality, match_segments
from tests.stages.models.evaluation.made import disturbed, panoptic


def test_a_perfect_map_has_full_quality_and_void_is_free() -> None:
    quality = PanopticQuality(("car", "road", "sky"), things=1)
    truth = np.zeros((8, 8, 2), np.int64)
    truth[:4] = (1, 0)
    truth[4:6] = (0, 1)
    truth[6:] = (-1, 0)
    guess = truth.copy()
    guess[6:] = (0, 5)  # something found where nothing can be known
    quality.add(guess, truth)
    full = {"pq": pytest.approx(1.0), "sq": pytest.approx(1.0), "rq": pytest.approx(1.0)}
    assert quality.by_class() == {"car": full, "road": full, "sky": {"pq": None, "sq": None, "rq": None}}
    assert quality.quality() == {"all": full, "things": full, "stuff": full}
    assert quality.quality(["sky"])["all"]["pq"] is None


@pytest.mark.parametrize("seed", range(6))
def test_quality_is_that_of_torchmetrics(seed: int) -> None:
    detection = pytest.importorskip("torchmetrics.detection", reason="needs torchmetrics")
    import torch

    rng = np.random.default_rng(seed)
    things, classes = 3, 6
    ours = PanopticQuality([str(label) for label in range(classes)], things=things)
    # A class more, for what is void in the found map: torchmetrics would forgive a miss there, the paper does not.
    theirs = detection.PanopticQuality(
        things=set(range(things)),
        stuffs=set(range(things, classes + 1)),
        return_sq_and_rq=True,
        return_per_class=True,
    )
    for _ in range(4):
        truth = panoptic(rng, things=things, classes=classes)
        guess = disturbed(rng, truth)
        ours.add(guess, truth)
        nothing = guess.copy()
        nothing[nothing[..., 0] == -1] = (classes, 0)
        void = theirs.void_color
        nothing_there = truth.copy()
        nothing_there[truth[..., 0] == -1] = void
        theirs.update(torch.from_numpy(nothing)[None], torch.from_numpy(nothing_there)[None])
    expected = theirs.compute().numpy().reshape(classes + 1, 3)
    for label, row in enumerate(ours.by_class().values()):
        assert [row["pq"] or 0.0, row["sq"] or 0.0, row["rq"] or 0.0] == pytest.approx(expected[label], abs=1e-5)
    assert 0.1 < expected[:classes, 0].mean() < 0.95


def test_a_segment_lost_to_void_is_missed() -> None:
    truth = np.zeros((4, 4, 2), np.int64)
    truth[..., 1] = 1
    matched = match_segments(np.full_like(truth, -1), truth, classes=1)
    assert (matched.true.tolist(), matched.false.tolist(), matched.missed.tolist()) == ([0], [0], [1])


def test_what_is_found_of_a_class_with_missing_labels_is_not_held_against_it() -> None:
    truth = np.ones((4, 4, 2), np.int64)
    truth[..., 1] = 0
    guess = truth.copy()
    guess[:, :1] = (0, 7)
    assert match_segments(guess, truth, classes=2).false.tolist() == [1, 0]
    assert match_segments(guess, truth, classes=2, open_labels={0}).false.tolist() == [0, 0]


def test_exactly_half_is_no_match() -> None:
    truth = np.zeros((2, 4, 2), np.int64)
    guess = np.zeros_like(truth)
    guess[:, :2, 1], guess[:, 2:, 1] = 1, 2  # two halves of one thing
    matched = match_segments(guess, truth, classes=1)
    assert (matched.true.tolist(), matched.false.tolist(), matched.missed.tolist()) == ([0], [2], [1])
