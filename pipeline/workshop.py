"""Where models are made and measured: what the commands for that call. Beside `build`, all that knows both packages.

Imports stand inside the functions: a command's help is instant, and a run never loads what trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from stages.models.adaptation.comparing import Measured
    from stages.models.training.history import Listener, Step
    from stages.models.training.recipe import Recipe

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class Evaluated(NamedTuple):
    """What `evaluate` gives."""

    table: str  # for a person
    figures: Mapping[str, Any]  # as JSON has them
    files: list[Path]


def evaluate(
    *, tta: Mapping[str, Any] | None = None, settings: Mapping[str, Any], progress: Progress, **asked: Any
) -> Evaluated:
    """Measure models on labelled pictures and clips.

    Args:
        tta: the arguments of `stages.models.evaluation.augmentation.Augmentation`.
        settings: those of `stages.models.evaluation.measure.Settings`.
        progress: told of what takes long.
        **asked: those of `stages.models.evaluation.run.Request`.

    Raises `ConfigError`, `ModelError`, `DataError`, `SinkError`.
    """
    from stages.models.evaluation.augmentation import Augmentation
    from stages.models.evaluation.measure import Settings
    from stages.models.evaluation.run import Request
    from stages.models.evaluation.run import evaluate as evaluated
    from stages.models.evaluation.table import table

    augmentation = None if tta is None else Augmentation(**tta)
    request = Request(augmentation=augmentation, settings=Settings(**settings), **asked)
    figures, files = evaluated(request, progress=progress)
    return Evaluated(table(figures), figures.plain(), files)


class ExportedFiles(NamedTuple):
    """What `export` gives."""

    table: str  # for a person
    warnings: Sequence[str]


def export(
    model: str,
    *,
    output: str,
    average: Sequence[str],
    formats: Sequence[str],
    size: tuple[int, int] | None,
    any_size: bool,
    half: bool,
    version: str,
    footage: Sequence[str],
    data: str | None,
    checked: int,
    calibrated: int,
    max_drop: float,
    balance: bool,
    progress: Progress,
) -> ExportedFiles:
    """Write a trained network in other formats, each checked against torch before it gets its name.

    Raises `ConfigError`, `ModelError`, `DataError`, `SourceError`.
    """
    from stages.models.extras import need

    need("export", "onnx", "onnxscript", extra="train")  # what follows imports them
    from stages.models.exporting.request import Request, plan_of, run
    from stages.models.exporting.table import table, warnings

    plan = plan_of(
        Path(output),
        formats=formats,
        size=size,
        any_size=any_size,
        half=half,
        version=version,
        max_drop=max_drop,
    )
    request = Request(
        model=model,
        plan=plan,
        average=average,
        footage=footage,
        data=data,
        checked=checked,
        calibrated=calibrated,
        balance=balance,
    )
    exported, frames = run(request, step=progress)
    return ExportedFiles(table(exported, frames), warnings(exported, frames))


def read_recipe(path: Path, changes: dict[str, Any]) -> Recipe:
    """The recipe in a YAML file, some of its settings changed. Raises `ConfigError`."""
    from stages.models.training.recipe import read_recipe as read

    return read(path, changes)


def train(
    recipe: Recipe,
    output: Path,
    *,
    progress: Progress,
    tell: Listener,
    interrupted: Callable[[], bool],
    remark: Callable[[str], None],
    tensorboard: bool = False,
) -> bool:
    """Train by a recipe into a folder, or go on there; False where it was interrupted.

    Args:
        recipe: how, and on what.
        output: gets weights, state and log.
        progress: told of opening and rendering what is learnt from.
        tell: told of steps.
        interrupted: asked whether to end.
        remark: told what there is of each class, and of which there is nothing.
        tensorboard: also write `output`/tensorboard.

    Raises:
        ConfigError: for a recipe that cannot be, or TensorBoard where it is not installed.
        DataError: for pictures and labels that nothing can be learnt from.
        ModelError: for a start that does not fit, or a loss that is no number any more.
    """
    from stages.models.training.recipe_run import run_recipe
    from stages.models.training.tensorboard import tensorboard_of

    with tensorboard_of(output / "tensorboard" if tensorboard else None) as board:

        def both(step: Step) -> None:
            tell(step)
            board(step)

        return run_recipe(recipe, output, progress=progress, tell=both, interrupted=interrupted, remark=remark)


def recipe_settings() -> list[tuple[str, str, str]]:
    """Every setting of a recipe: its path, its default, and what it does."""
    from pipeline.config.description import describe
    from stages.models.training.recipe import Recipe

    return describe(Recipe)


class Adapted(NamedTuple):
    """What `adapt` gives."""

    model: Path | None  # the network to run; None where it got no better
    tried: Path  # the network that was made
    truth: str  # what it was measured against
    before: Measured
    after: Measured
    milliseconds: Mapping[str, float]  # median a frame, by model


def adapt(
    *,
    footage: Sequence[Path],
    output: Path,
    teachers: Sequence[str],
    start: Path | None = None,
    minutes: float = 10.0,
    steps: int | None = None,
    rehearse: float = 0.25,
    seed: int = 0,
    progress: Progress | None = None,
    interrupted: Callable[[], bool],
    **labels: Any,
) -> Adapted:
    """Fit a network to footage by teachers; `labels` has the names of `adaptation.labelling.LabelConfig`.

    Raises `ConfigError`, `DataError`, `ModelError`, `SinkError`; `KeyboardInterrupt` where it was interrupted.
    """
    from stages.models.extras import need

    need("adapt", "onnx", "onnxscript", "faster_coco_eval", extra="train,eval")  # what follows imports them
    from stages.models.adaptation.adapting import TRUTH
    from stages.models.adaptation.adapting import adapt as adapted
    from stages.models.adaptation.labelling import LabelConfig
    from stages.models.adaptation.plan import AdaptPlan

    if labels.get("classes") is not None:
        labels["classes"] = tuple(labels["classes"])
    plan = AdaptPlan(
        footage=tuple(footage),
        labels=LabelConfig(teachers=tuple(teachers), **labels),
        output=output,
        start=start,
        minutes=minutes,
        steps=steps,
        rehearse=rehearse,
        seed=seed,
    )
    done = adapted(plan, progress=progress, interrupted=interrupted)
    return Adapted(done.model, done.tried, TRUTH, done.before, done.after, done.milliseconds)
