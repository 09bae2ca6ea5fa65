"""YOLO's text files: a line an object, a box or a polygon in shares of the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, DataError
from stages.models.labelled.boxes import Box, checked_box, without_area_note
from stages.models.labelled.file_pictures import ObjectsPicture, OutlinedPictures
from stages.models.labelled.label_files import list_files, missing_note, read_text
from stages.models.labelled.masks import MOST_POINTS, polygon_mask
from stages.models.labelled.outlines import Outlined
from stages.models.labelled.parts import Part, Progress, reported
from stages.models.labelled.picture_file import PICTURE_ENDINGS, Size, read_size
from stages.models.labelled.segments import known_things
from stages.models.labelled.specs import YoloSpec
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.labelled.yolo_names import class_names


@dataclass(frozen=True, slots=True)
class YoloObject:
    """A line: the taxonomy's label, the box and the polygon in pixels ([x, y, x, y, ...], empty: a box alone)."""

    label: int
    box: Box
    polygon: tuple[float, ...]


YoloPicture = ObjectsPicture[YoloObject]


class YoloPictures(OutlinedPictures[YoloObject]):
    """Pictures with YOLO's labels."""

    __slots__ = ()

    def _outlined(self, picture: YoloPicture) -> Iterator[Outlined]:
        return (Outlined(one.label, one.box, _mask(one, picture.size)) for one in picture.objects)


def _mask(one: YoloObject, size: Size) -> NDArray[np.bool_] | None:
    return polygon_mask([one.polygon], width=size[0], height=size[1]) if one.polygon else None


def open_yolo(spec: YoloSpec, taxonomy: Taxonomy, *, part: Part, progress: Progress | None = None) -> YoloPictures:
    """The pictures of a folder that have labels. Raises `DataError`, and `ConfigError` for missing folders' names."""
    images = Path(spec.images)
    labels = _labels_folder(spec)
    names = class_names(spec.names)
    label_of = [taxonomy.label(name) for name in names]
    paths, notes = _labelled(images, labels, empty=spec.unlabelled == "empty", skip=spec.missing == "skip")
    keys = [image.stem for image, _ in paths]
    chosen = spec.chosen(keys, labels, part=part)
    pictures: list[YoloPicture] = []
    without_area = 0
    for index in reported(chosen, progress, f"labels of {labels}"):
        image, text = paths[index]
        size = read_size(image, shown=True)
        lines = [] if text is None else read_lines(text, size, class_count=len(names))
        told = [(label, line) for line in lines if (label := label_of[line.class_id]) is not None]
        told = [(label, line) for label, line in told if line.polygon or taxonomy.classes.is_thing(label)]
        without_area += sum(line.box is None for _, line in told)
        objects = tuple(YoloObject(label, line.box, line.polygon) for label, line in told if line.box is not None)
        pictures.append(ObjectsPicture(keys[index], image, size, objects))
    notes += without_area_note(without_area, labels)
    known = known_things(taxonomy, set(names), spec.known)
    return YoloPictures(f"yolo {labels}", taxonomy, known, pictures, tuple(notes))


def _labels_folder(spec: YoloSpec) -> Path:
    if spec.labels is not None:
        return Path(spec.labels)
    parts = list(Path(spec.images).parts)
    if "images" not in parts:
        raise ConfigError(f"data.labels: needed, since no folder of {spec.images} is called images")
    at = len(parts) - 1 - parts[::-1].index("images")
    return Path(*parts[:at], "labels", *parts[at + 1 :])


def _labelled(
    images: Path, labels: Path, *, empty: bool, skip: bool
) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    """Pictures with their text files, by name; those without one with None, where they count as empty."""
    texts = {path.relative_to(labels).with_suffix(""): path for path in list_files(labels, (".txt",))}
    texts.pop(Path("classes"), None)  # some tools put the names beside
    pictures: dict[Path, Path] = {}
    for path in list_files(images, PICTURE_ENDINGS):
        stem = path.relative_to(images).with_suffix("")
        if stem in texts and stem in pictures:
            raise DataError(f"{path}: has the same name as {pictures[stem].name}; which of them is labelled?")
        pictures[stem] = path
    strays = sorted(str(texts[stem]) for stem in texts.keys() - pictures.keys())
    notes = missing_note(strays, of=len(texts), labels=labels, what="text files' pictures", skip=skip)
    bare = len(pictures.keys() - texts.keys())
    if bare and not empty:
        notes.append(f"{images}: {bare} pictures without a text file in {labels} were left out (unlabelled: skip)")
    return [(path, texts.get(stem)) for stem, path in pictures.items() if empty or stem in texts], notes


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text file; a box of None has no area."""

    class_id: int
    box: Box | None
    polygon: tuple[float, ...]


def read_lines(path: Path, size: Size, *, class_count: int) -> list[Line]:
    """A text file's objects in pixels. Raises `DataError` naming file and line."""
    lines = []
    for number, text in enumerate(read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        try:
            lines.append(_line(text.split(), size, class_count))
        except ValueError as exc:
            raise DataError(f"{path}, line {number}: {exc}") from exc
    return lines


def _line(words: list[str], size: Size, class_count: int) -> Line:
    try:
        values = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"{' '.join(words)[:80]!r} is not a class and numbers") from None
    class_id, shares = values[0], values[1:]
    if class_id not in range(class_count):
        raise ValueError(f"class {words[0][:20]}; 0 to {class_count - 1} have names")
    if not all(math.isfinite(value) for value in shares):
        raise ValueError("a number is not finite")
    width, height = size
    if len(shares) == 4:
        x, y, w, h = shares[0] * width, shares[1] * height, shares[2] * width, shares[3] * height
        return Line(int(class_id), checked_box((x - w / 2, y - h / 2, x + w / 2, y + h / 2), size), ())
    if len(shares) % 2 or not 3 <= len(shares) // 2 <= MOST_POINTS:
        raise ValueError(f"{len(shares)} numbers after the class; 4 are a box, x and y of 3 or more points a polygon")
    polygon = tuple(value * side for value, side in zip(shares, [width, height] * (len(shares) // 2), strict=True))
    around = (min(polygon[::2]), min(polygon[1::2]), max(polygon[::2]), max(polygon[1::2]))
    return Line(int(class_id), checked_box(around, size), polygon)
