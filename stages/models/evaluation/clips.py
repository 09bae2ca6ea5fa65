"""Clips whose objects keep an identity: of synthetic streets, and of MOTChallenge folders with frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.models.evaluation.truth import Ignoring
from stages.models.evaluation.worlds import UNSEEN_SEED
from stages.models.labelled.sample import Sample
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.labelled.world import sample_of
from stages.models.labelled.world_pictures import in_classes_of
from stages.models.world import World
from stages.models.world.classes import THINGS


class ClipFrame(NamedTuple):
    """A frame with its truth."""

    sample: Sample
    ids: NDArray[np.int64]  # [G] identity of each of the sample's objects, from 1


class Clip(Protocol):
    """Frames in order."""

    @property
    def name(self) -> str:
        """What it is, for a person; unlike any other clip's."""
        ...

    @property
    def seconds_between(self) -> float:
        """From one frame to the next."""
        ...

    @property
    def ignoring(self) -> Ignoring:
        """Which objects it is neither right nor wrong to find."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ClipFrame]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldClip:
    """A synthetic street of the split that nothing is trained on.

    Attributes:
        taxonomy: the classes it is labelled with.
        seed: which street.
        seconds: how long.
        fps: frames a second.
        width: of a frame, pixels.
        height: of a frame, pixels.
    """

    taxonomy: Taxonomy
    seed: int = UNSEEN_SEED
    seconds: float = 8.0
    fps: float = 12.5
    width: int = 640
    height: int = 360
    ignoring: Ignoring = "world"

    @property
    def name(self) -> str:
        """The street."""
        return f"unseen world {self.seed}, {self.seconds:g} s at {self.fps:g} frames/s"

    @property
    def seconds_between(self) -> float:
        """From one frame to the next."""
        return 1 / self.fps

    def __len__(self) -> int:
        return max(1, round(self.seconds * self.fps))

    def __iter__(self) -> Iterator[ClipFrame]:
        world = World(self.seed, split="unseen", width=self.width, height=self.height, fps=self.fps)
        known = np.array([_is_thing(name, self.taxonomy) for name in THINGS], np.bool_)
        for _ in range(len(self)):
            frame = world.render()
            sample = in_classes_of(sample_of(frame), self.taxonomy)
            yield ClipFrame(sample, 1 + frame.track_ids[known[frame.labels]])
            world.step(self.seconds_between)


def _is_thing(name: str, taxonomy: Taxonomy) -> bool:
    label = taxonomy.label(name)
    return label is not None and taxonomy.classes.is_thing(label)
