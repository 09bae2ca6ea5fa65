"""Scores as probabilities: bins by hand, and a temperature that is known."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.evaluation.reliability import fit_temperature, negative_log_likelihood, reliability, tempered


def test_bins_and_error_by_hand() -> None:
    scores, hits = np.array([0.1, 0.2, 0.9, 0.7, 1.0]), np.array([False, True, True, True, False])
    found = reliability(scores, hits, bins=2)
    assert found.counts == [2, 3]
    assert found.scores == [pytest.approx(0.15), pytest.approx(2.6 / 3)]
    assert found.rights == [pytest.approx(0.5), pytest.approx(2 / 3)]
    assert found.error == pytest.approx((2 * 0.35 + 3 * 0.2) / 5)


def test_error_is_that_of_torchmetrics() -> None:
    classification = pytest.importorskip("torchmetrics.classification", reason="needs torchmetrics")
    import torch

    rng = np.random.default_rng(1)
    scores = rng.uniform(0.5, 0.999, 500)  # theirs takes the more probable side of a binary score
    hits = rng.random(500) < scores**2
    metric = classification.BinaryCalibrationError(n_bins=10, norm="l1")
    expected = float(metric(torch.from_numpy(scores), torch.from_numpy(hits.astype(np.int64))))
    assert reliability(scores, hits, bins=10).error == pytest.approx(expected, abs=1e-6)


def test_no_boxes_have_no_error() -> None:
    found = reliability(np.zeros(0), np.zeros(0, np.bool_), bins=3)
    assert (found.counts, found.rights, found.error) == ([0, 0, 0], [None] * 3, None)


def test_likelihood_by_hand() -> None:
    scores, hits = np.array([0.8, 0.3]), np.array([True, False])
    assert negative_log_likelihood(scores, hits) == pytest.approx(-(np.log(0.8) + np.log(0.7)) / 2)
    assert negative_log_likelihood(np.zeros(0), np.zeros(0, np.bool_)) == 0.0


def test_the_temperature_of_sharpened_scores_is_found() -> None:
    rng = np.random.default_rng(2)
    honest = rng.uniform(0.02, 0.98, 20_000)
    hits = rng.random(20_000) < honest
    sharpened = tempered(honest, 0.5)
    temperature = fit_temperature(sharpened, hits)
    assert temperature == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(tempered(sharpened, 2.0), honest, atol=1e-6)
    assert negative_log_likelihood(sharpened, hits, temperature=temperature) < negative_log_likelihood(sharpened, hits)
    assert reliability(tempered(sharpened, temperature), hits).error < reliability(sharpened, hits).error / 3


def test_a_temperature_needs_right_and_wrong() -> None:
    with pytest.raises(ValueError, match="3 boxes, 3 of them right: a temperature needs both kinds"):
        fit_temperature(np.array([0.5, 0.6, 0.7]), np.ones(3, np.bool_))
