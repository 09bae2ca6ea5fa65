"""COCO instances: boxes with polygons, or run lengths for crowds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.labelled.boxes import Box, checked_box, without_area_note
from stages.models.labelled.coco_file import CocoAnnotation, CocoImage, CocoInstancesFile, Id, read_coco
from stages.models.labelled.file_pictures import ObjectsPicture, OutlinedPictures
from stages.models.labelled.label_files import inside, look_for
from stages.models.labelled.masks import polygon_mask, run_length_mask
from stages.models.labelled.outlines import Outlined
from stages.models.labelled.parts import Part, Progress, reported
from stages.models.labelled.picture_file import Size, check_size
from stages.models.labelled.segments import known_things
from stages.models.labelled.specs import CocoSpec
from stages.models.labelled.taxonomy import Taxonomy

_NO_OUTLINE = (b"null", b"[]")


@dataclass(frozen=True, slots=True)
class CocoObject:
    """An object as the file tells it, with the taxonomy's label."""

    id: Id
    label: int
    box: Box
    crowd: bool
    outline: bytes  # JSON of `segmentation`


CocoPicture = ObjectsPicture[CocoObject]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CocoPictures(OutlinedPictures[CocoObject]):
    """Pictures of a COCO instances file. An outline that cannot be is a `DataError` with the annotation's id."""

    labels: Path

    def _outlined(self, picture: CocoPicture) -> Iterator[Outlined]:
        return (Outlined(one.label, one.box, self._mask(one, picture), one.crowd) for one in picture.objects)

    def _mask(self, one: CocoObject, picture: CocoPicture) -> NDArray[np.bool_] | None:
        try:
            return outline_mask(one.outline, picture.size)
        except (ValueError, msgspec.MsgspecError) as exc:
            raise DataError(f"{self.labels}: annotation {one.id}, of {picture.path.name}: {exc}") from exc


class RunLengths(msgspec.Struct, frozen=True):
    """COCO's `segmentation` of a crowd."""

    counts: list[int] | str
    size: tuple[int, int]  # height, width


def outline_mask(outline: bytes, size: Size) -> NDArray[np.bool_] | None:
    """[H, W] of a `segmentation`; None where there is none. Raises `ValueError`."""
    width, height = size
    told = msgspec.json.decode(outline, type=RunLengths | list[list[float]] | None)
    if not told:
        return None
    if not isinstance(told, RunLengths):
        return polygon_mask(told, width=width, height=height)
    if told.size != (height, width):
        raise ValueError(f"run lengths of {told.size[1]}x{told.size[0]} pixels on a picture of {width}x{height}")
    return run_length_mask(told.counts, width=width, height=height)


def open_coco(spec: CocoSpec, taxonomy: Taxonomy, *, part: Part, progress: Progress | None = None) -> CocoPictures:
    """The pictures of an instances file. Raises `DataError`."""
    labels, folder = Path(spec.labels), Path(spec.images)
    file = read_coco(labels, CocoInstancesFile)
    names = {category.id: category.name for category in file.categories}
    paths = [inside(folder, image.file_name, labels=labels) for image in file.images]
    there, notes = look_for(paths, labels=labels, what="pictures", skip=spec.missing == "skip")
    told = [(image, path) for image, path, found in zip(file.images, paths, there, strict=True) if found]
    keys = [path.stem for _, path in told]
    chosen = spec.chosen(keys, labels, part=part)
    objects, without_area = _objects(file, taxonomy, labels)
    pictures: list[CocoPicture] = []
    for index in reported(chosen, progress, f"pictures of {labels.name}"):
        image, path = told[index]
        size = (image.width, image.height)
        check_size(path, size)
        pictures.append(ObjectsPicture(keys[index], path, size, tuple(objects.get(image.id, ()))))
    notes += without_area_note(without_area, labels)
    known = known_things(taxonomy, set(names.values()), spec.known)
    return CocoPictures(f"coco {labels.name}", taxonomy, known, pictures, tuple(notes), labels=labels)


def _objects(file: CocoInstancesFile, taxonomy: Taxonomy, labels: Path) -> tuple[dict[Id, list[CocoObject]], int]:
    """What the taxonomy has a class for, by image; and how many have no area."""
    label_of = {category.id: taxonomy.label(category.name) for category in file.categories}
    sizes = {image.id: image for image in file.images}
    found: dict[Id, list[CocoObject]] = defaultdict(list)
    without_area = 0
    for annotation in file.annotations:
        label = label_of[annotation.category_id]
        outline = bytes(annotation.segmentation)  # a copy, so that the whole file is not kept for it
        if label is None or (outline in _NO_OUTLINE and not taxonomy.classes.is_thing(label)):
            continue
        box = _box(annotation, sizes[annotation.image_id], labels)
        if box is None:
            without_area += 1
            continue
        found[annotation.image_id].append(CocoObject(annotation.id, label, box, bool(annotation.iscrowd), outline))
    return found, without_area


def _box(annotation: CocoAnnotation, image: CocoImage, labels: Path) -> Box | None:
    left, top, width, height = annotation.bbox
    try:
        return checked_box((left, top, left + width, top + height), (image.width, image.height))
    except ValueError as exc:
        raise DataError(f"{labels}: annotation {annotation.id}, of {image.file_name}: {exc}") from exc
