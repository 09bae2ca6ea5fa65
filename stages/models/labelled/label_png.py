"""A PNG of classes a picture, as Cityscapes and CamVid have them; perhaps a second one that tells objects apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, DataError
from stages.models.labelled.class_maps import class_map_segments
from stages.models.labelled.file_pictures import MappedPictures, MapPicture
from stages.models.labelled.label_files import list_files, missing_note
from stages.models.labelled.label_tables import LabelTable, Suffixes, suffixes_of, table_of
from stages.models.labelled.parts import Part, Progress, reported
from stages.models.labelled.picture_file import (
    PICTURE_ENDINGS,
    check_size,
    read_label_map,
    read_size,
)
from stages.models.labelled.segments import Segments, known_things
from stages.models.labelled.specs import LabelPngSpec
from stages.models.labelled.taxonomy import Taxonomy

_FIRST_INSTANCE = 1000  # values from here are class x 1000 + number


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelPngPictures(MappedPictures[MapPicture]):
    """Pictures with class maps."""

    table: LabelTable

    def _segments(self, picture: MapPicture) -> tuple[NDArray[np.int32], Segments]:
        classes, instances = self._maps(picture)
        return class_map_segments(classes, instances, thing_count=len(self.taxonomy.things))

    def _maps(self, picture: MapPicture) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """[H, W] labels, and [H, W] numbers of objects where there is a file of them, 0: none."""
        pixels = read_label_map(picture.class_path, picture.size, colours=self.table.in_colour)
        try:
            classes = self.table.read(pixels)
        except ValueError as exc:
            raise DataError(f"{picture.class_path}: {exc}") from exc
        if picture.object_path is None:
            return classes, None
        told = np.asarray(read_label_map(picture.object_path, picture.size))
        if told.ndim != 2 or pixels.ndim != 2:
            raise DataError(f"{picture.object_path}: is a colour PNG; values of class x 1000 + number are needed")
        numbers = told.astype(np.int64)
        same = np.where(numbers >= _FIRST_INSTANCE, numbers // _FIRST_INSTANCE, numbers) == pixels
        if not same.all():
            raise DataError(
                f"{picture.object_path}: {np.count_nonzero(~same)} pixels are of another class than in "
                f"{picture.class_path.name}"
            )
        return classes, np.where(numbers >= _FIRST_INSTANCE, numbers, 0)


def open_label_png(
    spec: LabelPngSpec, taxonomy: Taxonomy, *, part: Part, progress: Progress | None = None
) -> LabelPngPictures:
    """The pictures that have a label file. Raises `DataError`, and `ConfigError` for a table that is none."""
    suffixes, table = suffixes_of(spec), table_of(spec, taxonomy)
    if suffixes.instance is not None and table.in_colour:
        raise ConfigError(
            "data.instance_suffix: objects are told apart by class x 1000 + number; give ids, not colours"
        )
    found, notes = _pairs(Path(spec.images), Path(spec.labels), suffixes, skip=spec.missing == "skip")
    keys = [stem.name for stem, _, _ in found]
    chosen = spec.chosen(keys, spec.labels, part=part)
    pictures = []
    for index in reported(chosen, progress, f"labels of {spec.labels}"):
        _, image, label = found[index]
        size = read_size(label)
        check_size(image, size)
        instance = None
        if suffixes.instance is not None:
            instance = label.with_name(keys[index] + suffixes.instance)
            if not instance.is_file():
                raise DataError(f"{instance}: is not there; {label.name} is (data.instance_suffix: '' does without)")
        pictures.append(MapPicture(keys[index], image, size, label, instance))
    known = known_things(taxonomy, set(table.names), spec.known)
    return LabelPngPictures(f"label-png {spec.labels}", taxonomy, known, pictures, tuple(notes), table=table)


def _pairs(
    images: Path, labels: Path, suffixes: Suffixes, *, skip: bool
) -> tuple[list[tuple[Path, Path, Path]], list[str]]:
    """(name within the folder, picture, label file), by name."""
    endings = PICTURE_ENDINGS if suffixes.image is None else (suffixes.image.lower(),)
    pictures: dict[Path, Path] = {}
    for path in list_files(images, endings):
        stem = _stem(path, images, path.suffix if suffixes.image is None else suffixes.image)
        if path.name.lower().endswith(suffixes.label.lower()) and images.resolve() == labels.resolve():
            continue  # both kinds lie in one folder
        if stem in pictures:
            raise DataError(f"{path}: has the same name as {pictures[stem].name}; which of them is labelled?")
        pictures[stem] = path
    maps = {_stem(path, labels, suffixes.label): path for path in list_files(labels, (suffixes.label.lower(),))}
    strays = sorted(str(maps[stem]) for stem in maps.keys() - pictures.keys())
    notes = missing_note(strays, of=len(maps), labels=labels, what="label files' pictures", skip=skip)
    bare = len(pictures.keys() - maps.keys())
    notes += [f"{images}: {bare} pictures without a label file in {labels} were left out"] if bare else []
    return [(stem, pictures[stem], maps[stem]) for stem in pictures if stem in maps], notes


def _stem(path: Path, folder: Path, suffix: str) -> Path:
    return path.relative_to(folder).with_name(path.name[: len(path.name) - len(suffix)] or path.name)
