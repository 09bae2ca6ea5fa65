"""Labelled pictures of a recipe, for exports: to calibrate with, to measure on, and what INT8 costs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError
from pipeline.messages import Classes, Surface, UInt8
from stages.models.exporting.frames import Step, evenly, picture_spec
from stages.models.labelled.parts import Part
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.specs import DataSpec, FootageSpec, WorldSpec, open_pictures
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.preprocess import Preprocessor


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
