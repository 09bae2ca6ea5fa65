"""Labelled pictures of a recipe, for exports: to calibrate with, to measure on, and what INT8 costs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError
from pipeline.messages import Classes, Surface, UInt8
from stages.models.evaluation.measure import DataSet
from stages.models.exporting.frames import Step, evenly, picture_spec
from stages.models.labelled.parts import Part, place_of
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.sample import Sample
from stages.models.labelled.specs import DataSpec, FootageSpec, WorldSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.preprocess import Preprocessor

Half = Literal["first", "second"]
MOST_MEASURED: Final = 500


@dataclass(frozen=True, slots=True)
class Chosen:
    """Some of a set's pictures; a `Pictures`."""

    pictures: Pictures
    rows: Sequence[int]

    @property
    def name(self) -> str:
        """What they are."""
        return self.pictures.name

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> str:
        """The picture's name."""
        return self.pictures.key(self.rows[index])

    def __getitem__(self, index: int) -> Sample:
        return self.pictures[self.rows[index]]


def half_of(key: str) -> Half:
    """Which half a picture belongs to, by its name: those that scores are balanced on, and those measured on."""
    return "first" if place_of(key, purpose="balance") < 0.5 else "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The data of a recipe.

    Attributes:
        file: the recipe, for messages.
        specs: its entries, but for footage, whose labels are a teacher's.
        taxonomy: the classes the network tells apart.
    """

    file: str
    specs: Sequence[DataSpec]
    taxonomy: Taxonomy

    def opened(self, part: Part, *, step: Step) -> list[tuple[DataSpec, Pictures]]:
        """The pictures of a part, entries without any left out. Raises `ConfigError`, `DataError`."""
        sets = [(spec, open_pictures(spec, self.taxonomy, part=part, progress=step)) for spec in self.specs]
        return [(spec, pictures) for spec, pictures in sets if len(pictures)]

    def measured(self, part: Part, *, half: Half | None = None, step: Step) -> list[DataSet]:
        """The pictures of a part, or one half of them, with what is ignored there, at most `MOST_MEASURED` a set."""
        sets = []
        for spec, pictures in self.opened(part, step=step):
            rows = [row for row in range(len(pictures)) if half is None or half_of(pictures.key(row)) == half]
            if rows:
                chosen = Chosen(pictures, evenly(rows, MOST_MEASURED))
                sets.append(DataSet(chosen, "world" if isinstance(spec, WorldSpec) else "coco"))
        return sets

    def images(self, part: Part, wanted: int, *, width: int, height: int, step: Step) -> list[UInt8]:
        """So many pictures [1, H, W, 3] as the network sees them, photographs before drawn streets."""
        sets = self.opened(part, step=step)
        photographs = [pictures for spec, pictures in sets if not isinstance(spec, WorldSpec)]
        chosen = photographs or [pictures for _, pictures in sets]
        places = [(pictures, index) for pictures in chosen for index in range(len(pictures))]
        preprocess = Preprocessor(picture_spec(width, height))
        images = []
        for row in evenly(range(len(places)), wanted):
            pictures, index = places[row]
            images.append(preprocess(Surface("rgb24", (pictures[index].image,)))[0].copy())
        return images


def read_data(path: str, classes: Classes, gathers: Mapping[str, tuple[str, ...]]) -> Labelled:
    """The `data` of a recipe of `everyframe train`; the rest of it is not looked at.

    Raises:
        ConfigError: when the file cannot be read, or has no entries that can be measured on.
    """
    document = read_yaml(path, what="recipe")
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path}: 'data' must be a list of pictures, as recipes of 'everyframe train' have it")
    try:
        specs: list[Any] = msgspec.convert(entries, list[DataSpec])
    except msgspec.ValidationError as exc:
        raise ConfigError(f"{path}: data: {exc}") from exc
    specs = [spec for spec in specs if not isinstance(spec, FootageSpec)]
    if not specs:
        raise ConfigError(f"{path}: data: nothing but footage, whose labels are a teacher's; give it as --footage")
    return Labelled(file=path, specs=specs, taxonomy=Taxonomy(classes=classes, gathers=gathers))
