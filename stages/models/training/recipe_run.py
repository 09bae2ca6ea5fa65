"""A whole recipe: open what it learns from, train in as many copies as it says, draw the curves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.errors import DataError
from stages.models.labelled.parts import Part, Progress
from stages.models.labelled.specs import open_pictures
from stages.models.training.curves import draw_curves
from stages.models.training.history import Listener
from stages.models.training.machine import copies_for
from stages.models.training.recipe import Recipe
from stages.models.training.replicas import Interrupted, Replica, run_replicas
from stages.models.training.start import teacher_of
from stages.models.training.stream import LearningSet
from stages.models.training.train import train


def open_sets(recipe: Recipe, *, part: Part, progress: Progress | None = None) -> list[LearningSet]:
    """The recipe's data, an entry a set. Raises `ConfigError`, `DataError`."""
    taxonomy = recipe.taxonomy()
    untaught = recipe.teacher.except_of if recipe.teacher else []
    return [
        LearningSet(
            pictures=open_pictures(spec, taxonomy, part=part, progress=progress),
            weight=spec.weight,
            taught=str(spec.__struct_config__.tag) not in untaught,
        )
        for spec in recipe.data
        if part != "held-out" or spec.hold_out
    ]


def run_recipe(
    recipe: Recipe,
    output: Path,
    *,
    progress: Progress | None = None,
    tell: Listener | None = None,
    interrupted: Interrupted = lambda: False,
) -> bool:
    """Train into a folder, or go on there; whether all steps are over.

    Raises:
        ConfigError: for a recipe that cannot be.
        DataError: for pictures and labels that nothing can be learnt from, or a folder that cannot be made.
        ModelError: for a start that does not fit, or a loss that is no number any more.
    """
    teacher_of(recipe, recipe.taxonomy())  # what is wrong with it is told before anything is rendered
    open_sets(recipe, part="train", progress=progress)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise DataError(f"{output}: cannot be made: {exc.strerror or exc}") from exc
    copies = copies_for(recipe)
    over = run_replicas(copies, partial(run_copy, recipe=recipe, output=output), tell, interrupted)
    draw_curves(output)
    return over


def run_copy(
    replica: Replica, tell: Listener | None, interrupted: Interrupted, *, recipe: Recipe, output: Path
) -> bool:
    """One of the copies; the body of `run_replicas`."""
    sets = open_sets(recipe, part="train")
    held_out = open_sets(recipe, part="held-out")
    return train(recipe, sets, output, held_out=held_out, replica=replica, tell=tell, interrupted=interrupted)
