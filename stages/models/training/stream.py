"""Batches by number: the same number gives the same batch, whatever was asked for before.

So a training that goes on sees what it would have seen, and several processes can prepare batches side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from stages.models.labelled.pictures import Pictures
from stages.models.labelled.sample import Sample
from stages.models.nano.network import STRIDES
from stages.models.training.augment import dress, view
from stages.models.training.mixing import copy_paste, mixup, mosaic
from stages.models.training.recipe import Recipe
from stages.models.training.targets import TrainingBatch, collate
from stages.models.training.teacher import DenseTeacher

# A stream of chance of its own: no copy has so high a number.
_SIZES = 1 << 16


Odds = NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningSet:
    """Pictures of one entry of a recipe.

    Attributes:
        pictures: the pictures.
        weight: how often one is drawn, beside those of other sets.
        taught: whether the teacher, if there is one, is asked about them.
        odds: how often each picture is drawn [P], adding up to 1; None: all alike.
    """

    pictures: Pictures
    weight: float = 1.0
    taught: bool = True
    odds: Odds = None


class Batches(Dataset[TrainingBatch]):
    """The batches of one copy of a training, numbered by step.

    Args:
        sets: what pictures are drawn from, at least one of them not empty.
        recipe: sizes, changes and seed.
        things: number of countable classes.
        teacher: is asked about pictures of sets that are taught.
        rank: which copy of the training.
        copies: how many there are.
    """

    def __init__(
        self,
        sets: Sequence[LearningSet],
        recipe: Recipe,
        *,
        things: int,
        teacher: DenseTeacher | None = None,
        rank: int = 0,
        copies: int = 1,
    ) -> None:
        self.sets, self.recipe, self.things, self.teacher = list(sets), recipe, things, teacher
        self.rank = rank
        self.count = recipe.batch // copies + (rank < recipe.batch % copies)  # the first copies take what is left over
        chances = np.array([one.weight * len(one.pictures) for one in sets], np.float64)
        self.chances = chances / chances.sum()
        self._rising = [None if one.odds is None else np.cumsum(one.odds) for one in sets]

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> TrainingBatch:
        rng = np.random.default_rng([self.recipe.seed, step, self.rank])
        size = np.random.default_rng([self.recipe.seed, step, _SIZES]).choice(self.recipe.sizes)  # of all copies alike
        width, height = (_rounded(side * size) for side in (self.recipe.width, self.recipe.height))
        plain = step >= self.recipe.steps * (1 - self.recipe.augment.plain_end)
        samples, taught = zip(*(self._sample(rng, width, height, plain=plain) for _ in range(self.count)), strict=True)
        batch = collate(list(samples), things=self.things)
        if self.teacher is not None:
            batch.answers.extend(
                self.teacher(sample.image) if asked else None for sample, asked in zip(samples, taught, strict=True)
            )
        return batch

    def _sample(self, rng: np.random.Generator, width: int, height: int, *, plain: bool) -> tuple[Sample, bool]:
        """A picture as it is learnt from, and whether the teacher is asked about it."""
        changes, (sample, taught) = self.recipe.augment, self._draw(rng)
        if not plain and rng.random() < changes.mosaic:
            drawn = [(sample, taught), *(self._draw(rng) for _ in range(3))]
            taught = all(asked for _, asked in drawn)
            sample = mosaic([one for one, _ in drawn], rng, width=width, height=height)
        else:
            sample = view(sample, rng, width=width, height=height, settings=changes)
            if rng.random() < changes.copy_paste:
                donor, asked = self._draw(rng)
                taught = taught and asked
                sample = copy_paste(sample, view(donor, rng, width=width, height=height, settings=changes), rng)
        if not plain and rng.random() < changes.mixup:
            other, asked = self._draw(rng)
            taught = taught and asked
            sample = mixup(sample, view(other, rng, width=width, height=height, settings=changes), rng)
        return dress(sample, rng, settings=changes), taught

    def _draw(self, rng: np.random.Generator) -> tuple[Sample, bool]:
        number = int(rng.choice(len(self.sets), p=self.chances))
        one, rising = self.sets[number], self._rising[number]
        count = len(one.pictures)
        index = rng.integers(count) if rising is None else np.searchsorted(rising[:-1], rng.random(), side="right")
        return one.pictures[int(index)], one.taught


def _rounded(side: float) -> int:
    step = STRIDES[-1]
    return max(round(side / step), 1) * step
