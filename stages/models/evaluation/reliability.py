"""Whether a score is a probability: how often what was found at a score is right, and a temperature that mends it.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv:1706.04599): expected calibration error
(section 2) and temperature scaling (section 4.2), here of the score of a box against whether it found an object.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
BINS = 15
_HOTTEST = 20.0
_EDGE = 1e-6  # scores are kept so far from 0 and 1 that a logit has a value


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of equal width over 0..1; None where a bin is empty.

    Attributes:
        counts: boxes in each bin.
        scores: their mean score.
        rights: the share of them that found an object.
        error: expected calibration error, the mean distance of the two over all boxes; None without boxes.
    """

    counts: list[int]
    scores: list[float | None]
    rights: list[float | None]
    error: float | None


def reliability(scores: Float, hits: NDArray[np.bool_], *, bins: int = BINS) -> Reliability:
    """Bins and error of boxes' scores [N] and whether they found an object [N]."""
    at = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(at, minlength=bins).astype(np.int64)
    score_sums = np.bincount(at, weights=scores, minlength=bins).astype(np.float64)
    hit_sums = np.bincount(at, weights=hits, minlength=bins).astype(np.float64)
    error = float(np.abs(score_sums - hit_sums).sum() / len(scores)) if len(scores) else None
    return Reliability(counts.tolist(), _shares(score_sums, counts), _shares(hit_sums, counts), error)


def _shares(sums: Float, counts: NDArray[np.int64]) -> list[float | None]:
    return [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]


def negative_log_likelihood(scores: Float, hits: NDArray[np.bool_], *, temperature: float = 1.0) -> float:
    """Mean of -log of the probability that the scores [N], tempered, give to what was seen [N]; 0 without boxes."""
    if not len(scores):
        return 0.0
    logits = _logits(scores) / temperature
    return float(np.logaddexp(0.0, np.where(hits, -logits, logits)).mean())


def tempered(scores: Float, temperature: float) -> Float:
    """Scores [N] whose logits are divided by the temperature; their order stays."""
    return np.asarray(1 / (1 + np.exp(-_logits(scores) / temperature)), np.float64)


def fit_temperature(scores: Float, hits: NDArray[np.bool_]) -> float:
    """The temperature of the least negative log likelihood, from 1/20 to 20.

    Raises:
        ValueError: where no box is right, or none is wrong: no temperature is the best.
    """
    from scipy.optimize import minimize_scalar

    if not hits.any() or hits.all():
        raise ValueError(f"{len(hits)} boxes, {int(hits.sum())} of them right: a temperature needs both kinds")
    bound = float(np.log(_HOTTEST))

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(scores, hits, temperature=float(np.exp(log_temperature)))

    best = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def _logits(scores: Float) -> Float:
    bounded = scores.astype(np.float64).clip(_EDGE, 1 - _EDGE)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)
