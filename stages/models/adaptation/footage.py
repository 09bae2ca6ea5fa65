"""Unlabelled footage as a recipe's pictures: a data entry of kind ``footage``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError, DataError
from stages.models.adaptation.labelling import LabelConfig, Labelled, label_footage
from stages.models.adaptation.video import find_videos
from stages.models.cache import cache_folder
from stages.models.labelled.packed import KeyedSample
from stages.models.labelled.parts import Part, Progress
from stages.models.labelled.sample import Sample, unpack
from stages.models.labelled.specs import FootageSpec
from stages.models.labelled.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, eq=False)
class FootagePictures:
    """Frames of footage with a teacher's labels, packed in memory (some 100 KB each)."""

    name: str
    packed: Sequence[KeyedSample]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.packed)

    def key(self, index: int) -> str:
        """File and second: ``gate@12.400``."""
        return self.packed[index].key

    def __getitem__(self, index: int) -> Sample:
        """Unpack it."""
        return unpack(self.packed[index].sample)


def open_footage(
    spec: FootageSpec, taxonomy: Taxonomy, *, part: Part, progress: Progress | None = None
) -> FootagePictures:
    """The frames, labelled where they are not yet.

    Raises:
        ConfigError: for a class that the network does not have, or when there is nowhere to keep the labels.
        DataError: for footage that cannot be read or kept, in which nothing is found, or of which too little is held
            out.
        ModelError: when a teacher is missing or fails.
    """
    paths = find_videos(spec.files)
    folder = Path(spec.cache) if spec.cache is not None else cache_folder("footage")
    if folder is None:
        raise ConfigError("data.cache: the user's cache cannot be written; name a folder for labelled frames")
    try:
        labelled = label_footage(paths, config_of(spec), taxonomy, folder, progress=progress)
    except OSError as exc:
        raise DataError(f"{folder}: labelled frames cannot be kept there: {exc.strerror or exc}") from exc
    named = f"footage {paths[0].name}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    return pictures_of(labelled, named, part=part)


def config_of(spec: FootageSpec) -> LabelConfig:
    """How a data entry has its footage labelled."""
    return LabelConfig(
        teachers=tuple(spec.teachers),
        segmenter=spec.segmenter,
        classes=None if spec.known is None else tuple(spec.known),
        thresholds=spec.thresholds,
        frames=spec.frames,
        fps=spec.fps,
        hold_out=spec.hold_out,
        merge=spec.merge,
    )


def pictures_of(labelled: Labelled, name: str, *, part: Part) -> FootagePictures:
    """A part of what was labelled."""
    sides = {
        "train": labelled.train,
        "held-out": labelled.held_out,
        "all": [*labelled.train, *labelled.held_out],
    }
    found = labelled.told["thresholds"]
    said = ", ".join(f"{of} {found[of]:g}" for of in labelled.told["known"])
    return FootagePictures(name, sides[part], (f"{name}: labels of scores from {said}",))
