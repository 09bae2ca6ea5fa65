"""COCO panoptic: every pixel's segment in a PNG, the segments' classes in a JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.labelled.coco_file import CocoImage, CocoPanopticAnnotation, CocoPanopticFile, Id, read_coco
from stages.models.labelled.file_pictures import MappedPictures
from stages.models.labelled.label_files import first_few, inside, look_for
from stages.models.labelled.label_tables import code_of
from stages.models.labelled.parts import Part, Progress, reported
from stages.models.labelled.picture_file import Size, check_size, read_label_map
from stages.models.labelled.segments import Segments, known_things
from stages.models.labelled.specs import CocoPanopticSpec
from stages.models.labelled.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, eq=False)
class PanopticPicture:
    """A picture, its map, and the map's segments: ids ascending, labels (-1: void), crowds."""

    key: str
    path: Path
    map_path: Path
    size: Size
    ids: NDArray[np.int64]
    labels: list[int]
    crowds: list[bool]


class CocoPanopticPictures(MappedPictures[PanopticPicture]):
    """Pictures of a COCO panoptic file. A map of other segments than the JSON file's is a `DataError`."""

    __slots__ = ()

    def _labels(self, picture: PanopticPicture) -> list[int]:
        return [label for label in picture.labels if label >= 0]

    def _segments(self, picture: PanopticPicture) -> tuple[NDArray[np.int32], Segments]:
        segment_map = numbered(segment_ids(picture.map_path, picture.size), picture.ids, picture.map_path)
        return segment_map, Segments.of(picture.labels, picture.crowds)


def segment_ids(path: Path, size: Size) -> NDArray[np.int64]:
    """[H, W] ids: red + 256 green + 65536 blue. Raises `DataError`."""
    colours = read_label_map(path, size)
    if colours.ndim != 3:
        raise DataError(f"{path}: is no colour PNG; a panoptic map holds a segment's id in red, green and blue")
    return code_of(colours)


def numbered(ids_map: NDArray[np.int64], ids: NDArray[np.int64], path: Path) -> NDArray[np.int32]:
    """1 + the place of each pixel's id in `ids` (ascending), 0 for id 0. Raises `DataError` unless both agree."""
    listed = np.concatenate([[0], ids])
    at = np.searchsorted(listed, ids_map).clip(0, len(listed) - 1)
    strangers = np.unique(ids_map[listed[at] != ids_map])
    if len(strangers):
        raise DataError(
            f"{path}: has pixels of segment {first_few([str(one) for one in strangers])}, which the labels do not list"
        )
    empty = ids[np.bincount(at.ravel(), minlength=len(listed))[1:] == 0]
    if len(empty):
        raise DataError(
            f"{path}: has no pixel of segment {first_few([str(one) for one in empty])}, which the labels list"
        )
    return np.asarray(at, np.int32)


def open_coco_panoptic(
    spec: CocoPanopticSpec, taxonomy: Taxonomy, *, part: Part, progress: Progress | None = None
) -> CocoPanopticPictures:
    """The pictures of a panoptic file. Raises `DataError`."""
    labels, folder = Path(spec.labels), Path(spec.images)
    maps = labels.with_suffix("") if spec.segments is None else Path(spec.segments)
    file = read_coco(labels, CocoPanopticFile)
    images = {image.id: image for image in file.images}
    names = {category.id: category.name for category in file.categories}
    label_of = {one: -1 if (label := taxonomy.label(name)) is None else label for one, name in names.items()}
    paths = [inside(folder, images[one.image_id].file_name, labels=labels) for one in file.annotations]
    there, notes = look_for(paths, labels=labels, what="pictures", skip=spec.missing == "skip")
    told = [
        (annotation, path, inside(maps, annotation.file_name, labels=labels))
        for annotation, path, found in zip(file.annotations, paths, there, strict=True)
        if found
    ]
    keys = [path.stem for _, path, _ in told]
    chosen = spec.chosen(keys, labels, part=part)
    look_for([told[index][2] for index in chosen], labels=labels, what="maps")
    pictures = []
    for index in reported(chosen, progress, f"pictures of {labels.name}"):
        annotation, path, map_path = told[index]
        pictures.append(_picture(annotation, images[annotation.image_id], path, map_path, label_of, labels))
    known = known_things(taxonomy, set(names.values()), spec.known)
    return CocoPanopticPictures(f"coco-panoptic {labels.name}", taxonomy, known, pictures, tuple(notes))


def _picture(
    annotation: CocoPanopticAnnotation,
    image: CocoImage,
    path: Path,
    map_path: Path,
    label_of: dict[Id, int],
    labels: Path,
) -> PanopticPicture:
    size = (image.width, image.height)
    check_size(path, size)
    told = sorted(annotation.segments_info, key=lambda segment: segment.id)
    ids = np.array([segment.id for segment in told], np.int64)
    if (np.diff(ids, prepend=0) <= 0).any():
        raise DataError(f"{labels}: {annotation.file_name} lists a segment twice, or one of id 0")
    stuff_and_things = [label_of[segment.category_id] for segment in told]
    crowds = [bool(segment.iscrowd) for segment in told]
    return PanopticPicture(path.stem, path, map_path, size, ids, stuff_and_things, crowds)
