"""The short training as a recipe, and how many steps fit into minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.detect.build import WEIGHTS
from stages.models.adaptation import tuning
from stages.models.adaptation.plan import taxonomy_of
from stages.models.adaptation.tuning import (
    FRAMES_PER_WORLD,
    PACE_STEPS,
    WORLDS,
    TunePlan,
    recipe_of,
    scaled,
    steps_within,
)
from stages.models.labelled.ending import Interrupted
from stages.models.labelled.specs import FootageSpec, WorldSpec
from stages.models.training.history import Step

START = WEIGHTS / "everyframe-nano.onnx"


def plan(**changes: Any) -> TunePlan:
    footage = FootageSpec(files=["walk.mp4"], teachers=["square"], hold_out=0.2)
    return TunePlan(
        **{"start": START, "weights": START, "footage": footage, "pictures": 120, "minutes": 3.0, **changes}
    )


def test_the_recipe_begins_at_the_network_as_it_is() -> None:
    taxonomy = taxonomy_of(START)
    recipe = recipe_of(plan(rehearse=0.25, seed=7), taxonomy)
    assert recipe.start == str(START)
    assert recipe.seed == 7
    assert recipe.taxonomy().classes == taxonomy.classes
    footage, streets = recipe.data
    assert isinstance(footage, FootageSpec)
    assert isinstance(streets, WorldSpec)
    drawn = streets.weight * WORLDS * FRAMES_PER_WORLD
    assert drawn / (drawn + footage.weight * 120) == pytest.approx(0.25)
    assert recipe.width % 32 == recipe.height % 32 == 0
    assert len(recipe_of(plan(rehearse=0.0), taxonomy).data) == 1


def test_the_picture_that_is_learnt_from_is_a_little_smaller() -> None:
    assert (scaled(640), scaled(352), scaled(32)) == (512, 288, 32)


class Trial:
    """A training of which every step takes half a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, over: bool = True) -> None:
        self.over, self.runs, self.now = over, 0, 0.0
        monkeypatch.setattr("stages.models.training.recipe_run.run_recipe", self.run)
        monkeypatch.setattr(tuning.time, "monotonic", lambda: self.now)

    def run(self, recipe: Any, output: Path, *, progress: Any, tell: Any, interrupted: Any) -> bool:
        self.runs += 1
        self.now += 30.0  # starting
        for number in range(1, recipe.steps + 1):
            self.now += 0.5
            if number % 20 == 0:
                tell(Step(number, recipe.steps, 1e-3, {}, 16.0))
        return self.over


def test_minutes_become_steps_by_the_pace_of_the_second_half_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Trial(monkeypatch)
    recipe = recipe_of(plan(rehearse=0.0), taxonomy_of(START))
    told: list[tuple[str, int, int]] = []
    assert steps_within(3.0, recipe, tmp_path, lambda *one: told.append(one)) == 360
    assert told == [("taking the pace", 20, PACE_STEPS), ("taking the pace", 40, PACE_STEPS)]
    assert steps_within(3.0, recipe, tmp_path, None) == 360
    assert trial.runs == 1
    (tmp_path / "fresh").mkdir()
    assert steps_within(0.05, recipe, tmp_path / "fresh", None) == PACE_STEPS


def test_a_trial_that_is_interrupted_says_nothing_of_the_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Trial(monkeypatch, over=False)
    with pytest.raises(Interrupted):
        steps_within(3.0, recipe_of(plan(rehearse=0.0), taxonomy_of(START)), tmp_path, None)
    assert not (tmp_path / "pace.json").exists()
