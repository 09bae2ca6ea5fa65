"""COCO's JSON files as typed records, read once and bounded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from pipeline.errors import DataError
from stages.models.labelled.label_files import first_few, read_bounded
from stages.models.labelled.picture_file import MOST_PIXELS

MOST_JSON_BYTES = 1 << 31  # 2 GiB; COCO's largest is 470 MB

Side = Annotated[int, Meta(ge=1, le=MOST_PIXELS)]
Id = int | str


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """A record of `images`."""

    id: Id
    file_name: str
    width: Side
    height: Side


class CocoCategory(msgspec.Struct, frozen=True, gc=False):
    """A record of `categories`."""

    id: Id
    name: str


class CocoAnnotation(msgspec.Struct, frozen=True, gc=False):
    """A record of `annotations` of an instances file; its outline is read when the picture is."""

    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]  # left, top, width, height
    id: Id = -1
    iscrowd: int | bool = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class CocoSegment(msgspec.Struct, frozen=True, gc=False):
    """A record of `segments_info`."""

    id: Annotated[int, Meta(ge=0, lt=1 << 24)]
    category_id: Id
    iscrowd: int | bool = 0


class CocoPanopticAnnotation(msgspec.Struct, frozen=True, gc=False):
    """A record of `annotations` of a panoptic file: one picture."""

    image_id: Id
    file_name: str
    segments_info: list[CocoSegment]


class CocoInstancesFile(msgspec.Struct, frozen=True):
    """An instances file."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


class CocoPanopticFile(msgspec.Struct, frozen=True):
    """A panoptic file."""

    images: list[CocoImage]
    annotations: list[CocoPanopticAnnotation]
    categories: list[CocoCategory]


File = TypeVar("File", CocoInstancesFile, CocoPanopticFile)


def read_coco(path: Path, kind: type[File]) -> File:
    """The file's records. Raises `DataError` naming the file and the place in it."""
    try:
        read = msgspec.json.decode(read_bounded(path, MOST_JSON_BYTES), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        what = "instances" if kind is CocoInstancesFile else "panoptic"
        raise DataError(f"{path}: is no COCO {what} file: {exc}") from exc
    _check_unique(path, "images", (image.id for image in read.images))
    _check_unique(path, "categories", (category.id for category in read.categories))
    images, categories = {image.id for image in read.images}, {category.id for category in read.categories}
    _check_known(path, "image_id", (annotation.image_id for annotation in read.annotations), images)
    _check_known(path, "category_id", _categories_used(read), categories)
    return read


def _categories_used(read: CocoInstancesFile | CocoPanopticFile) -> Iterable[Id]:
    for annotation in read.annotations:
        if isinstance(annotation, CocoAnnotation):
            yield annotation.category_id
        else:
            yield from (segment.category_id for segment in annotation.segments_info)


def _check_unique(path: Path, what: str, ids: Iterable[Id]) -> None:
    seen: set[Id] = set()
    for one in ids:
        if one in seen:
            raise DataError(f"{path}: {what}: the id {one!r} is there twice")
        seen.add(one)


def _check_known(path: Path, what: str, used: Iterable[Id], there: set[Id]) -> None:
    unknown = sorted({str(one) for one in used if one not in there})
    if unknown:
        raise DataError(f"{path}: annotations have {what} {first_few(unknown)}, which the file does not list")
