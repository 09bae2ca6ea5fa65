"""Pascal VOC: XML files of boxes, PNGs of classes and objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.models.labelled.boxes import checked_box, without_area_note
from stages.models.labelled.class_maps import class_map_segments
from stages.models.labelled.file_pictures import MappedPictures, MapPicture, ObjectsPicture, OutlinedPictures
from stages.models.labelled.label_files import list_files, look_for, read_text
from stages.models.labelled.outlines import Outlined
from stages.models.labelled.parts import Part, Progress, reported
from stages.models.labelled.picture_file import Size, check_size, read_label_map, read_size
from stages.models.labelled.segments import Segments, known_things
from stages.models.labelled.specs import VocSpec
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.labelled.voc_xml import read_annotation

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_BORDER = 255  # VOC's outline between objects: no class


class VocBoxPictures(OutlinedPictures[Outlined]):
    """Pictures with VOC's boxes; `difficult` ones are neither right nor wrong to find. All pixels are void."""

    __slots__ = ()

    def _outlined(self, picture: ObjectsPicture[Outlined]) -> tuple[Outlined, ...]:
        return picture.objects


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VocMapPictures(MappedPictures[MapPicture]):
    """Pictures with VOC's segmentation. Background and borders are void: what is there, VOC does not say."""

    labels: NDArray[np.int64]  # [256] by pixel value; -1: void, -2: no value of theirs

    def _segments(self, picture: MapPicture) -> tuple[NDArray[np.int32], Segments]:
        values = _map_of(picture.class_path, picture.size)
        classes = self.labels[values]
        if (classes == -2).any():
            strange = np.unique(values[classes == -2]).tolist()
            raise DataError(f"{picture.class_path}: has the values {strange[:5]}, which have no name (data.names)")
        objects = None
        if picture.object_path is not None:
            objects = _map_of(picture.object_path, picture.size)
            objects = np.where(objects == _BORDER, 0, objects)
            _check_objects(picture, values, objects)
        return class_map_segments(classes, objects, thing_count=len(self.taxonomy.things))


def _map_of(path: Path, size: Size) -> NDArray[np.int64]:
    values = read_label_map(path, size)
    if values.ndim != 2 or values.max(initial=0) > 255:
        raise DataError(f"{path}: is no palette or grey PNG of 8 bits; VOC's classes are its values")
    return values.astype(np.int64)


def _check_objects(picture: MapPicture, values: NDArray[np.int64], objects: NDArray[np.int64]) -> None:
    """Refuse an object of two classes. Raises `DataError`."""
    pairs = np.unique((objects * 256 + values)[(objects > 0) & (values != _BORDER)])
    numbers, counts = np.unique(pairs // 256, return_counts=True)
    if (counts > 1).any():
        torn = numbers[counts > 1].tolist()
        raise DataError(f"{picture.object_path}: object {torn[0]} has pixels of two classes in {picture.class_path}")


def open_voc(
    spec: VocSpec, taxonomy: Taxonomy, *, part: Part, progress: Progress | None = None
) -> VocBoxPictures | VocMapPictures:
    """The pictures of a VOC folder. Raises `DataError`."""
    folder = Path(spec.folder)
    boxes = spec.labels == "boxes"
    labels, ending = (folder / "Annotations", ".xml") if boxes else (folder / "SegmentationClass", ".png")
    if spec.image_set is None:
        keys = [path.stem for path in list_files(labels, (ending,))]
    else:
        keys = _listed(folder / "ImageSets" / f"{spec.image_set}.txt")
    paths = [folder / "JPEGImages" / f"{key}.jpg" for key in keys]
    there, notes = look_for(paths, labels=labels, what="pictures", skip=spec.missing == "skip")
    told = [
        (key, path, labels / f"{key}{ending}") for key, path, found in zip(keys, paths, there, strict=True) if found
    ]
    told = [told[index] for index in spec.chosen([key for key, _, _ in told], labels, part=part)]
    look_for([label_path for _, _, label_path in told], labels=labels, what="label files")
    opened = _boxes if boxes else _maps
    return opened(spec, taxonomy, told, progress, notes)


_Told = Sequence[tuple[str, Path, Path]]


def _boxes(
    spec: VocSpec, taxonomy: Taxonomy, told: _Told, progress: Progress | None, notes: list[str]
) -> VocBoxPictures:
    pictures: list[ObjectsPicture[Outlined]] = []
    names, without_area = set(), 0
    for key, path, label_path in reported(told, progress, f"labels of {spec.folder}"):
        annotation = read_annotation(label_path)
        size = annotation.size or read_size(path, shown=True)
        check_size(path, size)
        objects = []
        for number, one in enumerate(annotation.objects, 1):
            names.add(one.name)
            label = taxonomy.label(one.name)
            if label is None or not taxonomy.classes.is_thing(label):
                continue
            try:
                box = checked_box(one.box, size)
            except ValueError as exc:
                raise DataError(f"{label_path}: object {number} ({one.name}): {exc}") from exc
            without_area += box is None
            if box is not None:
                objects.append(Outlined(label, box, None, one.difficult))
        pictures.append(ObjectsPicture(key, path, size, tuple(objects)))
    notes = [*notes, *without_area_note(without_area, spec.folder)]
    known = known_things(taxonomy, names, spec.known)
    return VocBoxPictures(f"voc {spec.folder}", taxonomy, known, pictures, tuple(notes))


def _maps(
    spec: VocSpec, taxonomy: Taxonomy, told: _Told, progress: Progress | None, notes: list[str]
) -> VocMapPictures:
    names = CLASSES if spec.names is None else tuple(spec.names)
    labels = np.full(256, -2, np.int64)
    labels[[0, _BORDER]] = -1
    for value, name in enumerate(names, 1):
        label = taxonomy.label(name)
        labels[value] = -1 if label is None else label
    pictures = []
    for key, path, class_path in reported(told, progress, f"labels of {spec.folder}"):
        size = read_size(class_path)
        check_size(path, size)
        object_path = Path(spec.folder) / "SegmentationObject" / f"{key}.png"
        pictures.append(MapPicture(key, path, size, class_path, object_path if object_path.is_file() else None))
    known = known_things(taxonomy, set(names), spec.known)
    return VocMapPictures(f"voc {spec.folder}", taxonomy, known, pictures, tuple(notes), labels=labels)


def _listed(path: Path) -> list[str]:
    """Names in a list of ImageSets; what stands behind a name is of one class only."""
    keys = [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    for key in keys:
        if "/" in key or "\\" in key or key.startswith("."):
            raise DataError(f"{path}: {key[:80]!r} is no name of a picture")
    if len(set(keys)) != len(keys):
        raise DataError(f"{path}: {len(keys) - len(set(keys))} names are there twice")
    return keys
