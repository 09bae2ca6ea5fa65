"""VOC's XML files, read without entities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from pipeline.errors import DataError
from stages.models.labelled.boxes import Box
from stages.models.labelled.label_files import MOST_TEXT_BYTES, read_bounded
from stages.models.labelled.picture_file import MOST_PIXELS, Size

MOST_OBJECTS = 100_000


@dataclass(frozen=True, slots=True)
class VocObject:
    """A name, a box in pixels from 0, and whether it is too hard to count."""

    name: str
    box: Box
    difficult: bool


@dataclass(frozen=True, slots=True)
class VocAnnotation:
    """A file's objects, and the picture's size where it is told."""

    size: Size | None
    objects: list[VocObject]


class _NoDoctype(ElementTree.TreeBuilder):
    """A document type can declare entities that unpack to gigabytes; label files have none."""

    def doctype(self, *_: object) -> NoReturn:
        raise ValueError("it has a document type (<!DOCTYPE>), which label files do not need")


def read_annotation(path: Path) -> VocAnnotation:
    """The file's objects. Raises `DataError` naming the file and what is wrong in it."""
    try:
        root = ElementTree.fromstring(read_bounded(path, MOST_TEXT_BYTES), ElementTree.XMLParser(target=_NoDoctype()))
        return _annotation(root)
    except (ElementTree.ParseError, ValueError, LookupError) as exc:
        raise DataError(f"{path}: is no VOC annotation: {exc}") from exc


def _annotation(root: ElementTree.Element) -> VocAnnotation:
    if root.tag != "annotation":
        raise ValueError(f"its root is <{root.tag[:40]}>, not <annotation>")
    elements = root.findall("object")
    if len(elements) > MOST_OBJECTS:
        raise ValueError(f"{len(elements)} objects; at most {MOST_OBJECTS} are read")
    return VocAnnotation(_size(root), [_object(element, number) for number, element in enumerate(elements, 1)])


def _size(root: ElementTree.Element) -> Size | None:
    """None where it is missing or 0 x 0, as some label tools write it."""
    if root.find("size") is None:
        return None
    width, height = (_number(root, f"size/{side}", "size") for side in ("width", "height"))
    if width == height == 0:
        return None
    if not (1 <= width <= MOST_PIXELS and 1 <= height <= MOST_PIXELS):  # nor is not-a-number
        raise ValueError(f"a size of {width:g}x{height:g} pixels")
    return int(width), int(height)


def _object(element: ElementTree.Element, number: int) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError(f"object {number} has no name")
    where = f"object {number} ({name[:40]})"
    left, top, right, bottom = (_number(element, f"bndbox/{side}", where) for side in ("xmin", "ymin", "xmax", "ymax"))
    difficult = (element.findtext("difficult") or "0").strip() == "1"
    return VocObject(name, (left - 1, top - 1, right, bottom), difficult)  # from 1, the last pixel included


def _number(element: ElementTree.Element, place: str, where: str) -> float:
    text = element.findtext(place)
    if text is None:
        raise ValueError(f"{where}: <{place.rpartition('/')[2]}> is missing")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: {place.rpartition('/')[2]} is {text.strip()[:40]!r}, not a number") from None
