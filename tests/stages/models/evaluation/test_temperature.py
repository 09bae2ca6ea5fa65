"""A temperature is fitted on one half of the pictures and judged on the other."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.models.evaluation.reliability import tempered
from stages.models.evaluation.temperature import fitted


def test_it_mends_scores_that_are_too_sure_on_pictures_it_never_saw() -> None:
    rng = np.random.default_rng(0)
    keys = [f"unseen-{1_000_000 + i // 40}-{i % 2}" for i in range(8000)]
    honest = rng.uniform(0.02, 0.98, len(keys))
    hits = rng.random(len(keys)) < honest
    got = fitted(keys, tempered(honest, 0.4), hits, model="told")
    assert got.value == pytest.approx(2.5, rel=0.1)
    assert 2000 < got.fitted_boxes < 6000
    assert got.nll_after < got.nll_before - 0.1
    assert got.ece_after < got.ece_before / 2  # type: ignore[operator]


def test_too_few_boxes_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="told: 0 boxes, 0 of them right: a temperature needs both kinds"):
        fitted([], np.zeros(0), np.zeros(0, np.bool_), model="told")
    with pytest.raises(DataError, match="measure on more pictures"):
        fitted(["a"] * 4, np.full(4, 0.5), np.array([True, False] * 2), model="told")
