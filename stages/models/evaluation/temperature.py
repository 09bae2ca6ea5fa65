"""A temperature for scores: fitted on one half of the pictures, judged on the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.evaluation.figures import Temperature
from stages.models.evaluation.reliability import fit_temperature, negative_log_likelihood, reliability, tempered
from stages.models.labelled.parts import place_of


def fitted(keys: Sequence[str], scores: NDArray[np.float64], hits: NDArray[np.bool_], *, model: str) -> Temperature:
    """The temperature that suits the boxes of half of the pictures, by name, and what it does to the others.

    Args:
        keys: the picture of each box.
        scores: of each box [N].
        hits: whether each box found an object [N].
        model: whose boxes they are.

    Raises:
        DataError: where one half has no right boxes or no wrong ones.
    """
    half = np.array([_is_fitted_on(key) for key in keys], np.bool_)
    others, right = scores[~half], hits[~half]
    try:
        value = fit_temperature(scores[half], hits[half])
    except ValueError as exc:
        raise DataError(f"--temperature fit: {model}: {exc}; measure on more pictures") from exc
    if not len(others):
        raise DataError(f"--temperature fit: {model}: no box to judge it by; measure on more pictures")
    after = tempered(others, value)
    return Temperature(
        value=value,
        fitted_on="half of the pictures, by name",
        fitted_boxes=int(half.sum()),
        nll_before=negative_log_likelihood(others, right),
        nll_after=negative_log_likelihood(others, right, temperature=value),
        ece_before=reliability(others, right).error,
        ece_after=reliability(after, right).error,
    )


def _is_fitted_on(key: str) -> bool:
    return place_of(key, purpose="temperature") < 0.5
