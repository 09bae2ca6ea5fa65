"""How many objects of each class a set of pictures has, and what is worth a warning before training on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pipeline.errors import DataError
from stages.models.labelled.parts import Progress, reported
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.taxonomy import Taxonomy


@runtime_checkable
class LabelledCheaply(Protocol):
    """Pictures whose labels are known without reading them."""

    def labels_of(self, index: int) -> Sequence[int]:
        """A label for each object, and for each stuff that occurs."""
        ...


@dataclass(frozen=True, slots=True)
class Census:
    """Counts by class.

    Attributes:
        pictures: how many there are.
        objects: of things, by name: objects.
        seen_in: of all classes, by name: pictures in which it occurs.
        notes: what the readers remarked.
    """

    pictures: int
    objects: dict[str, int]
    seen_in: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> tuple[str, ...]:
        """Classes that occur nowhere: nothing about them can be learnt or measured."""
        return tuple(name for name, count in self.seen_in.items() if not count)

    def warnings(self) -> list[str]:
        """What a person should read before the training."""
        absent = f"no picture has {', '.join(self.empty)}" if self.empty else ""
        return [*self.notes, *([absent] if absent else [])]


def census(sets: Iterable[Pictures], taxonomy: Taxonomy, *, progress: Progress | None = None) -> Census:
    """Count what sets have together: from labels alone where the form allows it, else picture by picture."""
    objects: Counter[int] = Counter()
    seen_in: Counter[int] = Counter()
    notes: list[str] = []
    total = 0
    for pictures in sets:
        total += len(pictures)
        notes += getattr(pictures, "notes", ())
        for index in reported(range(len(pictures)), progress, f"labels of {pictures.name}"):
            labels = labels_of(pictures, index, taxonomy)
            objects.update(labels)
            seen_in.update(set(labels))
    names = taxonomy.classes.names
    return Census(
        total,
        {name: objects[label] for label, name in enumerate(taxonomy.things)},
        {name: seen_in[label] for label, name in enumerate(names)},
        tuple(notes),
    )


def check_labelled(pictures: Pictures) -> None:
    """Refuse a set whose labels name nothing that is looked for. Raises `DataError`."""
    if isinstance(pictures, LabelledCheaply) and not any(pictures.labels_of(i) for i in range(len(pictures))):
        raise DataError(
            f"{pictures.name}: none of its {len(pictures)} pictures has anything of the classes; do they gather the "
            "names that its labels have?"
        )


def labels_of(pictures: Pictures, index: int, taxonomy: Taxonomy) -> Sequence[int]:
    """A label for each object of a picture, and for each stuff in it."""
    if isinstance(pictures, LabelledCheaply):
        return pictures.labels_of(index)
    return labels_in(pictures[index], taxonomy)


def labels_in(sample: Sample, taxonomy: Taxonomy) -> list[int]:
    """The same of a sample."""
    values = np.unique(sample.regions)
    stuff = values[(values > 0) & (values < FIRST_OBJECT)].astype(np.int64) - 1 + len(taxonomy.things)
    return [*sample.labels.tolist(), *stuff.tolist()]
