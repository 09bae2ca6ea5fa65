"""An export as it is asked for: of what, to which files, checked on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from pipeline.errors import ConfigError
from stages.models.exporting.deployed import INPUT_HEIGHT, INPUT_WIDTH, check_size
from stages.models.exporting.export import Exported, ExportPlan, Trained, export
from stages.models.exporting.formats import FORMATS, Format
from stages.models.exporting.frames import CALIBRATED, CHECKED, Frames, Step, of_footage, of_worlds, quiet
from stages.models.exporting.int8 import Judge, by_agreement
from stages.models.exporting.labelled import Labelled, read_data
from stages.models.exporting.subject import open_averaged
from stages.models.extras import need

# What a format needs beside the product's own dependencies, and the extra that brings it.
_PACKAGES: Final[dict[Format, tuple[tuple[str, str], ...]]] = {
    "onnx": (("onnx", "train"), ("onnxscript", "train")),
    "openvino": (("onnx", "train"), ("onnxscript", "train")),
    "int8": (("onnx", "train"), ("onnxscript", "train"), ("nncf", "int8")),
    "torch": (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        model: a checkpoint, an exported ONNX file, or everyframe-nano.
        plan: the files.
        average: checkpoints whose weights are averaged with the model's.
        footage: videos to check on, and to calibrate INT8 with.
        data: a recipe, whose labelled pictures are for the same.
        checked: frames that are checked on.
        calibrated: frames that INT8 is calibrated with.
        balance: whether scores are shifted by class, so that one threshold suits all.
    """

    model: str
    plan: ExportPlan
    average: Sequence[str] = ()
    footage: Sequence[str] = ()
    data: str | None = None
    checked: int = CHECKED
    calibrated: int = CALIBRATED
    balance: bool = False

    @property
    def wants_int8(self) -> bool:
        """Whether one of the files is INT8."""
        return "int8" in self.plan.formats


def plan_of(
    output: Path,
    *,
    formats: Sequence[str],
    size: tuple[int, int] | None,
    any_size: bool,
    half: bool,
    version: str,
    max_drop: float,
) -> ExportPlan:
    """The plan for files named like `output`, whatever format's ending that has. Raises `ConfigError`."""
    if unknown := [name for name in formats if name not in FORMATS]:
        raise ConfigError(f"--format: {unknown[0]!r} is not one of {', '.join(FORMATS)}")
    name = output.stem if output.suffix in (".onnx", ".xml", ".pt2") else output.name
    if not name.strip("."):
        raise ConfigError(f"--output: {str(output)!r} names no file; DIR/NAME is needed")
    width, height = size or (INPUT_WIDTH, INPUT_HEIGHT)
    chosen = tuple(dict.fromkeys(cast("Sequence[Format]", formats)))
    return ExportPlan(
        folder=output.parent,
        name=name,
        formats=chosen,
        width=width,
        height=height,
        half=half,
        any_size=any_size,
        version=version,
        max_drop=max_drop,
    )


def run(request: Request, *, step: Step = quiet) -> tuple[list[Exported], Frames]:
    """Export; the files, and what they were checked on.

    Raises:
        ConfigError: for what cannot be asked for.
        ModelError: as `export`, and where a package is missing.
        DataError, SourceError: for frames that cannot be read.
    """
    check_size(request.plan.width, request.plan.height, any_size=request.plan.any_size)
    check_packages(request)
    trained = open_averaged(request.model, request.average)
    labelled = None if request.data is None else read_data(request.data, trained.classes, trained.gathers)
    if request.balance:
        trained = _balanced(trained, request, labelled, step)
    frames = frames_for(request, labelled, step=step)
    judge = by_agreement if labelled is None or not request.wants_int8 else _by_labels(request, labelled, step)
    return export(trained, request.plan, frames, judge=judge, step=step), frames


def _balanced(trained: Trained, request: Request, labelled: Labelled | None, step: Step) -> Trained:
    from stages.models.exporting.balancing import balanced

    if labelled is None:
        raise ConfigError("--balance: needs labelled pictures that are held out; give --data RECIPE")
    sets = labelled.measured("held-out", half="first", step=step)
    if not sets:
        raise ConfigError(f"{labelled.file}: data: nothing is held out to balance scores on; give an entry 'hold_out'")
    return replace(trained, offsets=balanced(trained, request.plan, sets, labelled.taxonomy))


def _by_labels(request: Request, labelled: Labelled, step: Step) -> Judge:
    from stages.models.exporting.judging import ByLabels

    sets = labelled.measured("held-out", half="second" if request.balance else None, step=step)
    count = sum(len(one.pictures) for one in sets)
    return ByLabels(sets, labelled.taxonomy, told=f"{count} held-out pictures of {labelled.file}", step=step)


def check_packages(request: Request) -> None:
    """Refuse to begin without what is needed. Raises `ConfigError`."""
    if request.wants_int8 and not (request.footage or request.data):
        raise ConfigError("--format int8: needs frames to calibrate with; give --footage VIDEO or --data RECIPE")
    needed = [(f"--format {name}", *package) for name in request.plan.formats for package in _PACKAGES[name]]
    if request.data and (request.wants_int8 or request.balance):
        needed.append(("--data", "faster_coco_eval", "eval"))
    for asked, package, extra in needed:
        need(asked, package, extra=extra)


def frames_for(request: Request, labelled: Labelled | None, *, step: Step) -> Frames:
    """Frames of the footage and pictures of the recipe; where there is neither, the synthetic street's."""
    size = {"width": request.plan.width, "height": request.plan.height}
    calibrated = request.calibrated if request.wants_int8 else 0
    sources = (labelled is not None) + bool(request.footage)
    if not sources:
        return of_worlds(**size, checked=request.checked, step=step)
    checked, calibrated = -(-request.checked // sources), -(-calibrated // sources)
    parts = []
    if request.footage:
        parts.append(of_footage(request.footage, **size, checked=checked, calibrated=calibrated, step=step))
    if labelled is not None:
        parts.append(_labelled(labelled, checked, calibrated, request.plan, step))
    return replace(
        parts[0],
        checked=[picture for part in parts for picture in part.checked],
        calibration=[picture for part in parts for picture in part.calibration],
        told=" and ".join(part.told for part in parts),
    )


def _labelled(labelled: Labelled, checked: int, calibrated: int, plan: ExportPlan, step: Step) -> Frames:
    """Pictures of a recipe. What INT8 is calibrated with is what was trained on: nothing is measured on that."""
    part: Final = "held-out" if calibrated else "all"
    images = labelled.images(part, checked, width=plan.width, height=plan.height, step=step)
    if not images:
        raise ConfigError(f"{labelled.file}: data: no picture is held out to judge INT8 on; give an entry 'hold_out'")
    calibration = []
    if calibrated:
        calibration = labelled.images("train", calibrated, width=plan.width, height=plan.height, step=step)
    told = f"{len(images)} {'held-out ' if calibrated else ''}pictures of {labelled.file}"
    return Frames(checked=images, calibration=calibration, told=told)
