"""Where models are made and measured: what the commands for that call. Beside `build`, all that knows both packages.

Imports stand inside the functions: a command's help is instant, and a run never loads what trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


class Evaluated(NamedTuple):
    """What `evaluate` gives."""

    table: str  # for a person
    figures: Mapping[str, Any]  # as JSON has them
    files: list[Path]


def evaluate(
    *,
    coco: tuple[str, str] | None = None,
    coco_panoptic: tuple[str, str, str] | None = None,
    hold_out: float = 0.0,
    limit: int | None = None,
    progress: Progress,
    **asked: Any,
) -> Evaluated:
    """Measure models on labelled pictures; `asked` has the names of `stages.models.evaluation.run.Request`.

    Raises `ConfigError`, `ModelError`, `DataError`, `SinkError`.
    """
    from stages.models.evaluation.run import Request, coco_panoptic_spec, coco_spec
    from stages.models.evaluation.run import evaluate as evaluated
    from stages.models.evaluation.table import table

    specs = list(asked.pop("specs", ()))
    if coco is not None:
        specs.append(coco_spec(*coco, hold_out=hold_out, limit=limit))
    if coco_panoptic is not None:
        specs.append(coco_panoptic_spec(*coco_panoptic, hold_out=hold_out, limit=limit))
    figures, files = evaluated(Request(specs=specs, **asked), progress=progress)
    return Evaluated(table(figures), figures.plain(), files)


class ExportedFiles(NamedTuple):
    """What `export` gives."""

    table: str  # for a person
    warnings: Sequence[str]


def export(
    model: str,
    *,
    output: str,
    formats: Sequence[str],
    size: tuple[int, int] | None,
    half: bool,
    version: str,
    footage: Sequence[str],
    data: str | None,
    checked: int,
    calibrated: int,
    max_drop: float,
    progress: Progress,
) -> ExportedFiles:
    """Write a trained network in other formats, each checked against torch before it gets its name.

    Raises `ConfigError`, `ModelError`, `DataError`, `SourceError`.
    """
    from stages.models.exporting.request import Request, plan_of, run
    from stages.models.exporting.table import table, warnings

    plan = plan_of(Path(output), formats=formats, size=size, half=half, version=version, max_drop=max_drop)
    request = Request(model=model, plan=plan, footage=footage, data=data, checked=checked, calibrated=calibrated)
    exported, frames = run(request, step=progress)
    return ExportedFiles(table(exported, frames), warnings(exported, frames))
