"""Measure models on pictures: every picture through every model's stages, held against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from stages.models.evaluation.boundaries import TOLERANCE
from stages.models.evaluation.figures import Figures, ModelFigures
from stages.models.evaluation.panoptic_quality import VOID
from stages.models.evaluation.subject import Subject
from stages.models.evaluation.tally import Tally
from stages.models.evaluation.temperature import fitted
from stages.models.evaluation.truth import IGNORED, Ignoring, Truth, truth_of
from stages.models.labelled.parts import Progress
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.taxonomy import Taxonomy

# A run paints masks of boxes from here; below 0.1 it drops them.
COUNTED_SCORE: Final = 0.4
COUNTED_FROM: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What figures depend on beside models and pictures.

    Attributes:
        counted_score: boxes from here are counted in the confusion matrix.
        counted_from: boxes from here are asked whether their score is a probability.
        boundary_tolerance: of outlines, as a share of the picture's diagonal.
        fit_temperature: whether a temperature is fitted to each model's scores and used.
    """

    counted_score: float = COUNTED_SCORE
    counted_from: float = COUNTED_FROM
    boundary_tolerance: float = TOLERANCE
    fit_temperature: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Pictures, and which of their objects are ignored."""

    pictures: Pictures
    ignoring: Ignoring


def silent(doing: str, done: int, total: int) -> None:
    """Progress that nobody is told of."""


def measure(
    subjects: Sequence[Subject],
    sets: Sequence[DataSet],
    taxonomy: Taxonomy,
    *,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Figures:
    """Figures of each model on all the pictures together.

    Args:
        subjects: the models.
        sets: the pictures, with truth in the taxonomy's labels.
        taxonomy: the truth's classes.
        settings: what else the figures depend on.
        progress: told after every picture.

    Raises:
        DataError: when a picture or its label cannot be read.
        ModelError: when a model fails on a picture.
    """
    settings = settings or Settings()
    tallies = [
        Tally(
            taxonomy,
            counted_score=settings.counted_score,
            counted_from=settings.counted_from,
            boundary_tolerance=settings.boundary_tolerance,
        )
        for _ in subjects
    ]
    judged = judged_labels(subjects, taxonomy)
    shown: set[int] = set()
    total, done = sum(len(one.pictures) for one in sets), 0
    for one in sets:
        for index in range(len(one.pictures)):
            sample, key = one.pictures[index], one.pictures.key(index)
            truth = truth_of(sample, ignoring=one.ignoring, things=len(taxonomy.things), judged=judged)
            shown |= _shown(truth)
            for subject, tally in zip(subjects, tallies, strict=True):
                tally.add(key, subject(sample.image, taxonomy, seq=done), truth)
            done += 1
            progress("pictures", done, total)
    figures = _empty(subjects, sets, taxonomy, judged, settings, shown)
    for model, tally in zip(figures.models, tallies, strict=True):
        if settings.fit_temperature:
            model.temperature = fitted(*tally.judged(), model=model.model)
        value = None if model.temperature is None else model.temperature.value
        compared = frozenset((*figures.compared_things, *figures.compared_stuff))
        tally.into(model, compared=compared, temperature=value)
    return figures


def _shown(truth: Truth) -> set[int]:
    """Labels of the objects that count, and of all pixels."""
    pixels = truth.pixels[..., 0]
    counts = np.bincount(pixels[pixels != VOID])
    return {*truth.labels[~truth.ignored].tolist(), *np.flatnonzero(counts).tolist()}


def judged_labels(subjects: Sequence[Subject], taxonomy: Taxonomy) -> frozenset[int]:
    """Labels that every model with masks tells apart: pixels of others are void for all of them."""
    labels = frozenset(range(len(taxonomy.classes.names)))
    for subject in subjects:
        if subject.has_masks:
            labels &= subject.labels(taxonomy)
    return labels


def _empty(
    subjects: Sequence[Subject],
    sets: Sequence[DataSet],
    taxonomy: Taxonomy,
    judged: frozenset[int],
    settings: Settings,
    shown: set[int],
) -> Figures:
    """Who was measured on what; without figures yet."""
    names, things = taxonomy.classes.names, len(taxonomy.things)
    common = frozenset.intersection(
        *(subject.labels(taxonomy) | frozenset(range(things, len(names))) for subject in subjects)
    )
    compared = sorted(common & judged & shown)
    masks = any(subject.has_masks for subject in subjects)
    return Figures(
        data=[one.pictures.name for one in sets],
        pictures=sum(len(one.pictures) for one in sets),
        things=taxonomy.things,
        stuff=taxonomy.stuff,
        compared_things=tuple(names[label] for label in compared if label < things),
        compared_stuff=tuple(names[label] for label in compared if label >= things and masks),
        ignored=sorted({IGNORED[one.ignoring] for one in sets}),
        settings=asdict(settings),
        models=[
            ModelFigures(
                model=subject.name,
                version=subject.info.version,
                classes=tuple(names[label] for label in sorted(subject.labels(taxonomy))),
            )
            for subject in subjects
        ],
    )
