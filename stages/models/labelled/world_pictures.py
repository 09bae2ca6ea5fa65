"""Frames of the synthetic street as labelled pictures: rendered on first use, kept, renumbered to the taxonomy."""

from __future__ import annotations

import hashlib
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError, DataError
from stages.models.cache import cache_folder
from stages.models.labelled.parts import Part, Progress
from stages.models.labelled.sample import FIRST_OBJECT, PackedSample, Sample, unpack
from stages.models.labelled.segments import Segments, known_things, sample_of_segments
from stages.models.labelled.specs import WorldSpec
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.labelled.world import RenderPlan, load, render_into
from stages.models.world.classes import CLASSES, STUFF, THINGS


@dataclass(frozen=True, slots=True, eq=False)
class WorldPictures:
    """Frames of many streets, packed in memory (some 60 KB each)."""

    name: str
    taxonomy: Taxonomy
    keys: list[str]
    packed: list[PackedSample]
    known: list[str] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.packed)

    def key(self, index: int) -> str:
        """World and frame: ``world-0000012-3``."""
        return self.keys[index]

    def __getitem__(self, index: int) -> Sample:
        """Unpack and renumber it."""
        return in_classes_of(unpack(self.packed[index]), self.taxonomy, self.known)


def in_classes_of(sample: Sample, taxonomy: Taxonomy, known: list[str] | None = None) -> Sample:
    """A sample of the world's own classes, in the taxonomy's; what it has no class for is void."""
    labels = [-1 if (label := taxonomy.label(name)) is None else label for name in CLASSES]
    segment_of = np.arange(256, dtype=np.int32)
    segment_of[FIRST_OBJECT:] += len(STUFF) + 1 - FIRST_OBJECT
    around = np.full((len(STUFF), 4), np.nan, np.float32)  # of a stuff that is gathered by a thing
    segments = Segments(
        np.array(labels[len(THINGS) :] + [labels[label] for label in sample.labels], np.int64),
        np.concatenate([around, sample.boxes]),
        np.concatenate([np.zeros(len(STUFF), np.float32), sample.visibility]),
    )
    told = None if known is None else known_things(taxonomy, set(), known)  # there is nothing else in a street
    return sample_of_segments(sample.image, segment_of[sample.regions], segments, taxonomy, told)


def open_world(spec: WorldSpec, taxonomy: Taxonomy, *, part: Part, progress: Progress | None = None) -> WorldPictures:
    """The frames, rendered where they are not there yet.

    A street's frames are all learnt from or all held out.

    Raises:
        ConfigError: when there is nowhere to keep them.
        DataError: when they cannot be written, or what is there cannot be read.
    """
    folder = _folder(spec)
    plan = RenderPlan(
        first_seed=spec.first_seed,
        worlds=spec.worlds,
        frames_per_world=spec.frames_per_world,
        seconds_between=spec.seconds_between,
    )
    try:
        paths = render_into(folder, plan, processes=spec.processes or None, progress=progress)
    except BrokenExecutor as exc:
        raise DataError(f"worlds cannot be rendered: {exc}") from exc
    except OSError as exc:
        raise DataError(f"{folder}: rendered worlds cannot be kept there: {exc.strerror or exc}") from exc
    packed = [sample for path in paths for sample in load(path)]
    worlds = [f"world-{plan.first_seed + number:07d}" for number in range(plan.worlds)]
    groups = [world for world in worlds for _ in range(plan.frames_per_world)]
    if len(packed) != len(groups):
        raise DataError(f"{folder}: holds {len(packed)} frames of {len(groups)}; delete it, and it is rendered again")
    keys = [f"{world}-{frame}" for world in worlds for frame in range(plan.frames_per_world)]
    chosen = spec.chosen(keys, "world", part=part, groups=groups)
    name = f"world {plan.first_seed} to {plan.first_seed + plan.worlds - 1}"
    return WorldPictures(name, taxonomy, [keys[i] for i in chosen], [packed[i] for i in chosen], spec.known)


def _folder(spec: WorldSpec) -> Path:
    """By renderer and step, so that frames of another are never taken for these."""
    parts = (f"{renderer_digest()}-{spec.seconds_between:g}s",)
    if spec.cache is not None:
        return Path(spec.cache).joinpath(*parts)
    folder = cache_folder("worlds", *parts)
    if folder is None:
        raise ConfigError("data.cache: the user's cache cannot be written; name a folder for rendered worlds")
    return folder


def renderer_digest() -> str:
    """Eight letters that change with the code of the renderer, and of the files that frames are kept in."""
    import stages.models.labelled.packed as file_form
    import stages.models.labelled.world as rendering
    import stages.models.world as renderer

    digest = hashlib.sha256()
    files = sorted(path for folder in renderer.__path__ for path in Path(folder).glob("*.py"))
    for path in [*files, Path(rendering.__file__), Path(file_form.__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
