"""What readers of label files share: pictures in files with labels read before, opened when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.outlines import Outlined, sample_of_outlines
from stages.models.labelled.picture_file import Size, read_picture
from stages.models.labelled.sample import Sample
from stages.models.labelled.segments import Segments, sample_of_segments
from stages.models.labelled.taxonomy import Taxonomy


class PictureFile(Protocol):
    """A picture's name without folder and ending, its file, and the size that its label says."""

    @property
    def key(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def size(self) -> Size: ...


class LabelledObject(Protocol):
    """Something with a label of the taxonomy."""

    @property
    def label(self) -> int: ...


File = TypeVar("File", bound=PictureFile)
Object = TypeVar("Object", bound=LabelledObject)


@dataclass(frozen=True, slots=True)
class ObjectsPicture(Generic[Object]):
    """A picture and its objects."""

    key: str
    path: Path
    size: Size
    objects: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class MapPicture:
    """A picture, its map of classes, and that of objects where there is one."""

    key: str
    path: Path
    size: Size
    class_path: Path
    object_path: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class FilePictures(ABC, Generic[File]):
    """Pictures in files. A kind of labels says what of a picture they tell."""

    name: str
    taxonomy: Taxonomy
    known: NDArray[np.bool_] | None
    pictures: list[File]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def key(self, index: int) -> str:
        """The picture's name without folder and ending."""
        return self.pictures[index].key

    def labels_of(self, index: int) -> list[int]:
        """The label of every object, and of stuff that has pixels, without reading the picture."""
        return self._labels(self.pictures[index])

    def __getitem__(self, index: int) -> Sample:
        """Read it. Raises `DataError`."""
        picture = self.pictures[index]
        return self._sample(read_picture(picture.path, picture.size), picture)

    @abstractmethod
    def _labels(self, picture: File) -> list[int]: ...

    @abstractmethod
    def _sample(self, image: NDArray[np.uint8], picture: File) -> Sample: ...


@dataclass(frozen=True, slots=True, eq=False)
class OutlinedPictures(FilePictures[ObjectsPicture[Object]], Generic[Object]):
    """Pictures whose labels tell objects one by one. What no object covers is void."""

    def _labels(self, picture: ObjectsPicture[Object]) -> list[int]:
        return [one.label for one in picture.objects]

    def _sample(self, image: NDArray[np.uint8], picture: ObjectsPicture[Object]) -> Sample:
        return sample_of_outlines(image, self._outlined(picture), self.taxonomy, self.known)

    @abstractmethod
    def _outlined(self, picture: ObjectsPicture[Object]) -> Iterable[Outlined]: ...


@dataclass(frozen=True, slots=True, eq=False)
class MappedPictures(FilePictures[File], Generic[File]):
    """Pictures whose labels are maps of their pixels, which are read when the picture is."""

    def _labels(self, picture: File) -> list[int]:
        _, segments = self._segments(picture)
        return [int(label) for label in segments.labels]

    def _sample(self, image: NDArray[np.uint8], picture: File) -> Sample:
        segment_map, segments = self._segments(picture)
        return sample_of_segments(image, segment_map, segments, self.taxonomy, self.known)

    @abstractmethod
    def _segments(self, picture: File) -> tuple[NDArray[np.int32], Segments]:
        """[H, W], and what its values mean."""
