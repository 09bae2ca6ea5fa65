"""Frames of the synthetic world, rendered once by all cores, kept packed in memory and on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stages.models.labelled import packed
from stages.models.labelled.packed import KeyedSample
from stages.models.labelled.parts import Progress
from stages.models.labelled.sample import FIRST_OBJECT, MAX_OBJECTS, PackedSample, Sample, pack
from stages.models.labelled.views import resample
from stages.models.world import STUFF, World, WorldFrame
from stages.models.world.classes import THING_ID_BASE

# Two of three worlds are rendered near the network's size, the third large: a camera's picture arrives shrunk, and is
# sharper for it.
RENDER_SIZES = ((640, 360), (576, 324), (960, 540))
# Nothing larger is kept: unpacking would cost more than training on it.
LARGEST_KEPT = (640, 360)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderPlan:
    """Which frames of which worlds.

    Attributes:
        first_seed: seed of the first world; the next ones follow.
        worlds: how many.
        frames_per_world: frames taken of each.
        seconds_between: how far apart they are, so that they differ.
    """

    first_seed: int
    worlds: int
    frames_per_world: int = 4
    seconds_between: float = 1.6


def sample_of(frame: WorldFrame) -> Sample:
    """The frame with its ids renumbered to bytes.

    Raises:
        ValueError: with more objects than bytes can number.
    """
    if len(frame.boxes) > MAX_OBJECTS:
        raise ValueError(f"a frame with {len(frame.boxes)} objects; at most {MAX_OBJECTS} can be numbered")
    table = np.zeros(THING_ID_BASE + int(frame.track_ids.max(initial=0)) + 1, np.uint8)
    table[1 : len(STUFF) + 1] = np.arange(1, len(STUFF) + 1)
    table[THING_ID_BASE + frame.track_ids] = FIRST_OBJECT + np.arange(len(frame.track_ids))
    return Sample(frame.image, table[frame.id_map], frame.boxes, frame.labels, frame.visibility)


def render_world(seed: int, plan: RenderPlan) -> list[PackedSample]:
    """All frames that the plan takes of one world of the training split."""
    width, height = RENDER_SIZES[seed % len(RENDER_SIZES)]
    world = World(seed, split="train", width=width, height=height)
    samples = []
    for _ in range(plan.frames_per_world):
        samples.append(pack(_kept(sample_of(world.render()))))
        world.step(plan.seconds_between)
    return samples


def _kept(sample: Sample) -> Sample:
    height, width = sample.regions.shape
    if (width, height) <= LARGEST_KEPT:
        return sample
    return resample(sample, (0, 0, width, height), width=LARGEST_KEPT[0], height=LARGEST_KEPT[1])


def render(plan: RenderPlan, *, processes: int | None = None) -> Iterator[list[PackedSample]]:
    """World by world, in order of seed, rendered in parallel."""
    count = processes or os.cpu_count() or 1
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        seeds = range(plan.first_seed, plan.first_seed + plan.worlds)
        yield from pool.map(render_world, seeds, [plan] * plan.worlds, chunksize=4)


def save(samples: list[PackedSample], path: Path) -> None:
    """One file, as `packed.save`; frames are told apart by their order alone. Raises `OSError`."""
    packed.save([KeyedSample("", sample) for sample in samples], path)


def load(path: Path) -> list[PackedSample]:
    """The inverse of `save`. Raises `DataError` for a file that is not one of its."""
    return [one.sample for one in packed.load(path)]


def render_into(
    folder: Path,
    plan: RenderPlan,
    *,
    worlds_per_file: int = 100,
    processes: int | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Render the plan into `folder`, a file per `worlds_per_file` worlds; files already there are kept.

    A last file with fewer worlds has their number in its name, so that it is not taken for a whole one later.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end = plan.first_seed + plan.worlds
    paths = []
    for first in range(plan.first_seed, end, worlds_per_file):
        part = replace(plan, first_seed=first, worlds=min(worlds_per_file, end - first))
        short = f"-of{part.worlds}" if part.worlds < worlds_per_file else ""
        paths.append(folder / f"worlds-{first:07d}-{plan.frames_per_world}{short}.npz")
        if not paths[-1].exists():
            _render_file(
                paths[-1], part, processes=processes, progress=progress, before=first - plan.first_seed, of=plan
            )
    return paths


def _render_file(
    path: Path, part: RenderPlan, *, processes: int | None, progress: Progress | None, before: int, of: RenderPlan
) -> None:
    samples: list[PackedSample] = []
    for done, world in enumerate(render(part, processes=processes), before + 1):
        samples += world
        if progress is not None:
            progress("rendered worlds", done, of.worlds)
    save(samples, path)
