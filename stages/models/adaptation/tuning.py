"""The short training: from the network as it is, on the footage's labels and on streets that it must not forget."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stages.models.adaptation.written import read_json, write_json
from stages.models.labelled.ending import Asked, Interrupted, ending, never
from stages.models.labelled.parts import Progress
from stages.models.labelled.specs import FootageSpec, WorldSpec
from stages.models.labelled.taxonomy import Taxonomy

if TYPE_CHECKING:
    from stages.models.nano.network import Nano
    from stages.models.training.history import Step
    from stages.models.training.recipe import Recipe

WORLDS: Final = 80
FRAMES_PER_WORLD: Final = 3
BATCH: Final = 8
PACE_STEPS: Final = 40  # of which the second half is timed
SCALE: Final = 0.8  # of the network's picture: what is learnt from is a little smaller, and half again as quick
PACE: Final = "pace.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunePlan:
    """How the short training goes.

    Attributes:
        start: an exported ONNX file; its card tells the network's shape and picture.
        weights: what to begin from: that file, or the checkpoint that it was made of.
        footage: what is learnt, labelled already.
        pictures: how many frames of it there are to learn from.
        minutes: how long, where `steps` is None.
        steps: how many.
        rehearse: share of the pictures that are of the synthetic street.
        rate: the highest learning rate.
        seed: of order and changes.
    """

    start: Path
    weights: Path
    footage: FootageSpec
    pictures: int
    minutes: float
    steps: int | None = None
    rehearse: float = 0.25
    rate: float = 1e-3
    seed: int = 0


def fine_tune(
    plan: TunePlan,
    taxonomy: Taxonomy,
    folder: Path,
    *,
    progress: Progress | None = None,
    interrupted: Asked = never,
) -> Nano:
    """Train for a while from `plan.weights`, or go on where the folder holds a training that was ended.

    Args:
        plan: how.
        taxonomy: the network's classes.
        folder: of checkpoints.
        progress: told how far it is.
        interrupted: asked now and then whether to end.

    Raises:
        ModelError: when what to start from cannot be read, or the loss is no number any more.
        DataError: when streets cannot be rendered or kept.
        OSError: when the folder cannot be written to.
        Interrupted: when it was asked to end.
    """
    from stages.models.training.checkpoint import read_checkpoint
    from stages.models.training.recipe_run import run_recipe
    from stages.models.training.train import WEIGHTS

    folder.mkdir(parents=True, exist_ok=True)
    recipe = recipe_of(plan, taxonomy)
    steps = plan.steps or steps_within(plan.minutes, recipe, folder, progress, interrupted)

    def tell(step: Step) -> None:
        if progress is not None:
            progress("training", step.number, step.of)

    whole = msgspec.structs.replace(recipe, steps=steps)
    if not run_recipe(whole, folder, progress=ending(progress, interrupted), tell=tell, interrupted=interrupted):
        raise Interrupted
    return read_checkpoint(folder / WEIGHTS).network


def recipe_of(plan: TunePlan, taxonomy: Taxonomy) -> Recipe:
    """The training as a recipe, but for its length. Raises `ModelError` where the start has no card."""
    from stages.models.exporting.card import network_config, read_whole_card
    from stages.models.training.augment import AugmentSettings
    from stages.models.training.recipe import (
        LearntClasses,
        NetworkSettings,
        OptimiserSettings,
        Recipe,
        ScheduleSettings,
    )

    card = read_whole_card(plan.start)
    network = network_config(card)
    named = {name: list(taxonomy.gathers.get(name, ())) for name in taxonomy.classes.names}
    data: list[Any] = [plan.footage]
    if plan.rehearse > 0:
        streets = WORLDS * FRAMES_PER_WORLD
        weight = plan.rehearse / (1 - plan.rehearse) * plan.pictures / streets
        data.append(WorldSpec(worlds=WORLDS, frames_per_world=FRAMES_PER_WORLD, weight=weight))
    return Recipe(
        data=data,
        classes=LearntClasses(
            things={name: named[name] for name in taxonomy.things}, stuff={name: named[name] for name in taxonomy.stuff}
        ),
        network=NetworkSettings(
            backbone=network.backbone,
            pyramid=network.pyramid,
            mask_width=network.mask_width,
            coefficients=network.coefficients,
        ),
        start=str(plan.weights),
        width=scaled(int(card["input_width"])),
        height=scaled(int(card["input_height"])),
        augment=AugmentSettings(whole=0.5, smallest_window=0.5, largest_window=1.2, repaint=0.0, channels=0.02),
        optimiser=OptimiserSettings(rate=plan.rate, average=0.99),
        schedule=ScheduleSettings(warm_up=0.05),
        batch=BATCH,
        seed=plan.seed,
        checkpoint_every=50,
        validate_every=0,
    )


def scaled(side: int) -> int:
    """A side of the network's picture as it is learnt from: a multiple of 32."""
    return max(round(side * SCALE / 32), 1) * 32


def steps_within(
    minutes: float, recipe: Recipe, folder: Path, progress: Progress | None, interrupted: Asked = never
) -> int:
    """So many steps as take these minutes on this machine, by a trial; what was found is kept in the folder."""
    path = folder / PACE
    if path.is_file():
        return int(read_json(path)["steps"])
    from stages.models.training.recipe_run import run_recipe

    told: list[tuple[int, float]] = []

    def tell(step: Step) -> None:
        told.append((step.number, time.monotonic()))
        if progress is not None:
            progress("taking the pace", step.number, step.of)

    trial = msgspec.structs.replace(recipe, steps=PACE_STEPS, checkpoint_every=10 * PACE_STEPS)
    opening = ending(progress, interrupted)
    shutil.rmtree(folder / "pace", ignore_errors=True)  # one that was ended would tell of a part alone
    if not run_recipe(trial, folder / "pace", progress=opening, tell=tell, interrupted=interrupted):
        raise Interrupted
    shutil.rmtree(folder / "pace", ignore_errors=True)
    (first, began), (last, ended) = told[0], told[-1]
    pace = (ended - began) / max(last - first, 1)
    steps = max(round(minutes * 60 / max(pace, 1e-3)), PACE_STEPS)
    write_json(path, {"steps": steps, "seconds_a_step": round(pace, 4)})
    return steps
