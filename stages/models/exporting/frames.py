"""Frames that an exported file is checked on, and others that an INT8 one is calibrated with: never the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.config import SourceConfig
from pipeline.errors import DataError
from pipeline.messages import Float32, Surface, UInt8
from stages.models.preprocess import InputSpec, Preprocessor

CHECKED: Final = 32
CALIBRATED: Final = 200
# Of each piece of footage: its last part is checked on, its first calibrated with, and what lies between belongs to
# neither, so that a car that stands there in both is rare.
_CALIBRATION_ENDS, _CHECKS_BEGIN = 0.7, 0.75
_WORLD_SEED = 3_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Pictures as the network sees them.

    Attributes:
        checked: uint8 [1, H, W, 3] RGB each; files are held against torch on them.
        calibration: the same, others; empty where none are asked for.
        told: what they are, for a person: ``32 frames of gate.mp4``.
        real: whether cameras took them.
    """

    checked: Sequence[UInt8]
    calibration: Sequence[UInt8]
    told: str
    real: bool = True


def as_input(picture: UInt8) -> Float32:
    """[1, H, W, 3] as the network's [1, 3, H, W]."""
    return np.ascontiguousarray(picture.transpose(0, 3, 1, 2), dtype=np.float32)


def picture_spec(width: int, height: int) -> InputSpec:
    """The picture that everyframe makes for the network."""
    return InputSpec(width=width, height=height, colours="rgb", fit="corner")


def of_footage(
    files: Sequence[str], *, width: int, height: int, checked: int = CHECKED, calibrated: int = CALIBRATED
) -> Frames:
    """Frames of videos, spread evenly over each.

    Raises:
        SourceError: when a file is none that can be decoded.
        DataError: when there are too few frames for what is asked.
    """
    preprocess = Preprocessor(picture_spec(width, height))
    each = -(-max(checked * 4, -(-calibrated * 10 // 7)) // len(files))
    check, calibration = [], []
    for file in files:
        pictures = spread(_surfaces(file), each, make=lambda surface: preprocess(surface)[0].copy())
        calibration += pictures[: round(_CALIBRATION_ENDS * len(pictures))]
        check += pictures[round(_CHECKS_BEGIN * len(pictures)) :]
    if not check or (calibrated and not calibration):
        raise DataError(f"{', '.join(files)}: too few frames to check a network on; a video of some seconds is needed")
    check, calibration = evenly(check, checked), evenly(calibration, calibrated)
    names = ", ".join(Path(file).name for file in files)
    return Frames(checked=check, calibration=calibration, told=f"{len(check)} frames of {names}")


def of_worlds(*, width: int, height: int, checked: int = CHECKED, calibrated: int = 0) -> Frames:
    """Frames of the synthetic street: better than noise where there is nothing else, and no camera's."""
    from stages.models.world import World

    def render(first: int, number: int) -> list[UInt8]:
        preprocess = Preprocessor(picture_spec(width, height))
        worlds = (World(first + i, split="unseen", width=640, height=360) for i in range(number))
        return [preprocess(Surface("rgb24", (world.render().image,)))[0].copy() for world in worlds]

    return Frames(
        checked=render(_WORLD_SEED, checked),
        calibration=render(_WORLD_SEED + checked, calibrated),
        told=f"{checked} frames of the synthetic street",
        real=False,
    )


def spread(surfaces: Iterable[Surface], wanted: int, *, make: Callable[[Surface], UInt8]) -> list[UInt8]:
    """At least half of `wanted` and at most `wanted` pictures at even steps of a stream whose length nobody knows.

    Every frame at first; each time there are too many, every second is dropped and the step doubles.
    """
    kept: list[UInt8] = []
    step = 1
    for index, surface in enumerate(surfaces):
        if index % step:
            continue
        kept.append(make(surface))
        if len(kept) > wanted:
            kept = kept[::2]
            step *= 2
    return kept


def evenly(pictures: Sequence[UInt8], wanted: int) -> list[UInt8]:
    """So many of them at even steps; all where there are fewer."""
    rows = np.linspace(0, len(pictures) - 1, min(wanted, len(pictures))).round().astype(int)
    return [pictures[row] for row in rows]


def _surfaces(file: str) -> Iterator[Surface]:
    from stages.decode import open_source

    source = SourceConfig(url=file, source_id=Path(file).stem.replace("/", "-"))
    with closing(open_source(source, next_epoch=count(1).__next__)) as reader:
        for frame in reader:
            assert isinstance(frame.surface, Surface)
            yield frame.surface
