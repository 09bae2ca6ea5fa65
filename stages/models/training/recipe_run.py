"""A whole recipe: open what it learns from, train in as many copies as it says, draw the curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from pipeline.errors import DataError
from stages.models.labelled.census import LabelledCheaply, census
from stages.models.labelled.ending import Asked, Interrupted, ending, never
from stages.models.labelled.parts import Part, Progress
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.sample import Sample
from stages.models.labelled.specs import LabelledEntry, open_pictures
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.training.curves import draw_curves
from stages.models.training.history import Listener
from stages.models.training.machine import copies_for, machine_for
from stages.models.training.rarity import odds_of
from stages.models.training.recipe import Recipe
from stages.models.training.replicas import Replica, run_replicas
from stages.models.training.start import teacher_of
from stages.models.training.stream import LearningSet, Odds
from stages.models.training.train import train

# Of a set whose labels lie in its pictures.
_LOOKED_AT = 100


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


def with_odds(recipe: Recipe, sets: Sequence[LearningSet], *, progress: Progress | None = None) -> list[LearningSet]:
    """All the recipe's sets that are learnt from, those whose rare classes are to count more with odds for it.

    Raises `DataError` where a label cannot be read.
    """
    taxonomy = recipe.taxonomy()
    return [
        replace(one, odds=odds_of(one.pictures, taxonomy, rare=spec.rare, progress=progress))
        if isinstance(spec, LabelledEntry) and spec.rare
        else one
        for one, spec in zip(sets, recipe.data, strict=True)
    ]


def remarks(sets: Sequence[LearningSet], taxonomy: Taxonomy) -> Iterator[str]:
    """What a person should know before a training: how much there is of each class, and of which nothing."""
    counted = census([_to_count(one.pictures) for one in sets if one.weight], taxonomy)
    objects = ", ".join(f"{count} {name}" for name, count in counted.objects.items() if count)
    total = sum(len(one.pictures) for one in sets if one.weight)
    looked = "" if counted.pictures == total else f" (in {counted.pictures} of them)"
    yield f"{total} pictures; things{looked}: {objects or 'none'}"
    yield from counted.warnings()


def _to_count(pictures: Pictures) -> Pictures:
    """All of those whose labels tell themselves; of those that are read for it, some that are spread evenly."""
    step = len(pictures) // _LOOKED_AT
    return pictures if step < 2 or isinstance(pictures, LabelledCheaply) else _Every(pictures, step)


class _Every:
    """One picture of every `step`."""

    def __init__(self, pictures: Pictures, step: int) -> None:
        self.pictures, self.step, self.name = pictures, step, pictures.name
        self.notes: tuple[str, ...] = tuple(getattr(pictures, "notes", ()))

    def __len__(self) -> int:
        return len(self.pictures) // self.step

    def key(self, index: int) -> str:
        return self.pictures.key(index * self.step)

    def __getitem__(self, index: int) -> Sample:
        return self.pictures[index * self.step]


def run_recipe(
    recipe: Recipe,
    output: Path,
    *,
    progress: Progress | None = None,
    tell: Listener | None = None,
    interrupted: Asked = never,
    remark: Callable[[str], None] = lambda text: None,
) -> bool:
    """Train into a folder, or go on there; whether all steps are over.

    Args:
        recipe: how, and on what.
        output: gets weights, state, log and curves.
        progress: told of opening and rendering what is learnt from.
        tell: told of steps.
        interrupted: asked whether to end; while pictures are rendered or labelled, too.
        remark: told what a person should know before: what there is of each class, and of which there is nothing.

    Raises:
        ConfigError: for a recipe that cannot be.
        DataError: for pictures and labels that nothing can be learnt from, or a folder that cannot be written.
        ModelError: for a start that does not fit, or a loss that is no number any more.
    """
    copies = copies_for(recipe)
    _check(recipe, output, copies)
    # Not kept: a copy opens them for itself, and a rendered street is large.
    try:
        opening = ending(progress, interrupted)
        sets = open_sets(recipe, part="train", progress=opening)
        for text in remarks(sets, recipe.taxonomy()):
            remark(text)
        odds = [one.odds for one in with_odds(recipe, sets, progress=opening)]
    except Interrupted:
        return False
    del sets
    body = partial(run_copy, recipe=recipe, output=output, odds=odds)
    # Teachers that label footage have run here: readers that ask a teacher are not forked from this process.
    apart = recipe.teacher is not None and recipe.readers > 0
    over = run_replicas(copies, body, tell, interrupted, apart=apart)
    try:
        draw_curves(output)
    except OSError as exc:
        raise DataError(f"{output}: the curves cannot be written: {exc.strerror or exc}") from exc
    return over


def _check(recipe: Recipe, output: Path, copies: int) -> None:
    """Tell what is wrong with a recipe or a folder before anything is rendered."""
    teacher_of(recipe, recipe.taxonomy())
    machine_for(recipe, copies=copies)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=output):
            pass
    except OSError as exc:
        raise DataError(f"{output}: cannot be written: {exc.strerror or exc}") from exc


def run_copy(
    replica: Replica, tell: Listener | None, interrupted: Asked, *, recipe: Recipe, output: Path, odds: Sequence[Odds]
) -> bool:
    """One of the copies; the body of `run_replicas`. `odds` are those of the sets, in the recipe's order."""
    opened = open_sets(recipe, part="train")
    sets = [replace(one, odds=its) for one, its in zip(opened, odds, strict=True)]
    held_out = open_sets(recipe, part="held-out") if replica.rank == 0 and recipe.validate_every else []
    return train(recipe, sets, output, held_out=held_out, replica=replica, tell=tell, interrupted=interrupted)
