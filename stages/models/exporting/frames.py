"""Frames that an exported file is checked on, and others that an INT8 one is calibrated with: never the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from pipeline.config import SourceConfig, is_live, redact
from pipeline.errors import ConfigError, DataError
from pipeline.messages import Float32, Surface, UInt8
from stages.models.labelled import parts
from stages.models.preprocess import InputSpec, Preprocessor

Item = TypeVar("Item")
Step = Callable[[str, int, int], None]  # what is done, how much of it, of how much

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


def quiet(doing: str, done: int, total: int) -> None:
    """Progress that nobody is told of."""


def as_input(picture: UInt8) -> Float32:
    """[1, H, W, 3] as the network's [1, 3, H, W]."""
    return np.ascontiguousarray(picture.transpose(0, 3, 1, 2), dtype=np.float32)


def picture_spec(width: int, height: int) -> InputSpec:
    """The picture that everyframe makes for the network."""
    return InputSpec(width=width, height=height, colours="rgb", fit="corner")


def of_footage(
    files: Sequence[str], *, width: int, height: int, checked: int = CHECKED, calibrated: int = 0, step: Step = quiet
) -> Frames:
    """Frames of videos, spread evenly over each: of its last quarter to check on, of its first part to calibrate with.

    Raises:
        SourceError: when a file is none that can be decoded.
        ConfigError: for an address that is no file's.
        DataError: when there are too few frames for what is asked.
    """
    preprocess = Preprocessor(picture_spec(width, height))
    # `spread` keeps half of what it may at least, and a quarter of that is checked on.
    each = -(-2 * max(checked * 4, -(-calibrated * 10 // 7)) // len(files))
    check: list[UInt8] = []
    calibration: list[UInt8] = []
    for number, file in enumerate(files, 1):
        step("footage", number, len(files))
        pictures = spread(_surfaces(file), each, make=lambda surface: preprocess(surface)[0].copy())
        calibration += pictures[: round(_CALIBRATION_ENDS * len(pictures))]
        check += pictures[round(_CHECKS_BEGIN * len(pictures)) :]
    if not check or not calibration:
        raise DataError(f"{', '.join(files)}: too few frames to check a network on; a video of some seconds is needed")
    chosen = evenly(check, checked)
    told = f"{len(chosen)} frames of {', '.join(Path(file).name for file in files)}"
    return Frames(checked=chosen, calibration=evenly(calibration, calibrated), told=told)


def of_worlds(*, width: int, height: int, checked: int = CHECKED, step: Step = quiet) -> Frames:
    """Frames of the synthetic street: better than noise where there is nothing else, and no camera's."""
    from stages.models.world import World

    preprocess = Preprocessor(picture_spec(width, height))
    pictures = []
    for number in range(checked):
        world = World(_WORLD_SEED + number, split="unseen", width=640, height=360)
        pictures.append(preprocess(Surface("rgb24", (world.render().image,)))[0].copy())
        step("synthetic frames", number + 1, checked)
    return Frames(
        checked=pictures, calibration=(), told=f"{checked} frames of the synthetic street, no camera's", real=False
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


def evenly(pictures: Sequence[Item], wanted: int) -> list[Item]:
    """So many of them at even steps; all where there are fewer."""
    return [pictures[row] for row in parts.evenly(len(pictures), limit=wanted)]


def _surfaces(file: str) -> Iterator[Surface]:
    from stages.decode import open_source

    if is_live(file):
        raise ConfigError(f"--footage: {redact(file)} is live; recorded files are needed")
    with closing(open_source(SourceConfig(url=file, source_id="footage"), next_epoch=count(1).__next__)) as reader:
        for frame in reader:
            assert isinstance(frame.surface, Surface)
            yield frame.surface
