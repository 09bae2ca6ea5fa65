"""What every reader of labels gives: pictures with truth, counted, and read one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stages.models.labelled.sample import Sample


class Pictures(Protocol):
    """Labelled pictures of one kind. They are read when asked for, so that a set may be larger than memory."""

    @property
    def name(self) -> str:
        """What they are, for a person: ``coco instances.json``."""
        ...

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """The picture's name without folder and ending; parts of a set are told apart by it."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """A picture with its truth. Raises `DataError`, naming the file, where its label is not of it."""
        ...


@dataclass(frozen=True, slots=True)
class NoPictures:
    """An empty set: of an entry of which nothing is held out, the held-out part."""

    name: str

    def __len__(self) -> int:
        return 0

    def key(self, index: int) -> str:
        """There is none."""
        raise IndexError(index)

    def __getitem__(self, index: int) -> Sample:
        raise IndexError(index)
