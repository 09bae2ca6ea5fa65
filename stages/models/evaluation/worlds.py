"""Frames of synthetic worlds as pictures with truth, rendered when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stages.models.labelled.sample import Sample
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.labelled.world import sample_of
from stages.models.labelled.world_pictures import in_classes_of
from stages.models.world import World

UNSEEN_SEED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnseenWorlds:
    """Frames of worlds. Seeds are far from those of training, and fixed: the same plan gives the same pictures.

    Attributes:
        taxonomy: the classes they are labelled with.
        split: of the worlds; `unseen` holds out palettes, shapes, cameras and weather.
        worlds: how many.
        frames_per_world: frames of each.
        seconds_between: how far apart.
        width: of a frame, pixels.
        height: of a frame, pixels.
        first_seed: of the first world.
    """

    taxonomy: Taxonomy
    split: Literal["train", "unseen"] = "unseen"
    worlds: int = 200
    frames_per_world: int = 2
    seconds_between: float = 2.0
    width: int = 640
    height: int = 360
    first_seed: int = UNSEEN_SEED
    _last: dict[int, tuple[int, World]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What they are."""
        return f"{self.worlds} {self.split} worlds from seed {self.first_seed}, {self.width}x{self.height}"

    def __len__(self) -> int:
        return self.worlds * self.frames_per_world

    def key(self, index: int) -> str:
        """The world and the frame."""
        world, frame = divmod(index, self.frames_per_world)
        return f"{self.split}-{self.first_seed + world}-{frame}"

    def __getitem__(self, index: int) -> Sample:
        """The frame, rendered. Raises `IndexError` past the last."""
        if not 0 <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        number, frame = divmod(index, self.frames_per_world)
        world = self._at(self.first_seed + number, frame)
        return in_classes_of(sample_of(world.render()), self.taxonomy)

    def _at(self, seed: int, frame: int) -> World:
        """The world at a frame: the last one moved on where it can be, since a new one costs nearly a frame."""
        last = self._last.pop(seed, None)
        self._last.clear()
        if last is None or last[0] > frame:
            last = 0, World(seed, split=self.split, width=self.width, height=self.height)
        passed, world = last
        for _ in range(passed, frame):
            world.step(self.seconds_between)
        self._last[seed] = frame, world
        return world
