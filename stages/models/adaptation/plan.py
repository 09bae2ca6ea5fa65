"""What is adapted to what, and whether a folder was begun with the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from pipeline.config import EMBEDDED_MODEL
from pipeline.errors import ConfigError
from pipeline.messages import Classes
from stages.models.adaptation.labelling import LabelConfig
from stages.models.adaptation.teacher import checksum_of
from stages.models.adaptation.video import fingerprint_of
from stages.models.labelled.embedded import GATHERS
from stages.models.labelled.specs import FootageSpec
from stages.models.labelled.taxonomy import Taxonomy

LABELS: Final = "labels"
CHECKPOINT: Final = ".safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptPlan:
    """What is adapted to what.

    Attributes:
        footage: video files.
        labels: how they are labelled.
        output: the folder of everything.
        start: an exported ONNX file, or a checkpoint, to begin from; None: the embedded network.
        minutes: length of the training, where `steps` is None.
        steps: of the training.
        rehearse: share of the pictures learnt from that are of the synthetic street.
        seed: of the training.
    """

    footage: tuple[Path, ...]
    labels: LabelConfig
    output: Path
    start: Path | None = None
    minutes: float = 10.0
    steps: int | None = None
    rehearse: float = 0.25
    seed: int = 0


def start_of(plan: AdaptPlan) -> Path:
    """The file that is begun from. Raises `ModelError` where it is missing, `ConfigError` where it is of no kind."""
    from stages.detect.build import WEIGHTS
    from stages.models.backend import check_file

    path = plan.start or WEIGHTS / f"{EMBEDDED_MODEL}.onnx"
    if path.suffix not in (".onnx", CHECKPOINT):
        raise ConfigError(
            f"--start: {path}; an .onnx of 'everyframe export' or a {CHECKPOINT} of 'everyframe train' is needed"
        )
    check_file(path)
    return path


def taxonomy_of(model: Path) -> Taxonomy:
    """The classes of an exported network or a checkpoint, with the names that each gathers.

    Raises:
        ModelError: when it has no card, or cannot be read.
    """
    if model.suffix == CHECKPOINT:
        from stages.models.training.checkpoint import read_checkpoint

        return read_checkpoint(model).taxonomy
    from stages.models.exporting.card import read_whole_card

    card = read_whole_card(model)
    classes = Classes(tuple(card["things"]), tuple(card["stuff"]))
    return Taxonomy(classes=classes, gathers=usual_names(classes.names))


def usual_names(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Other names of classes in the usual label sets, where they are no classes themselves."""
    others = {name: tuple(one for one in GATHERS.get(name, ()) if one not in names) for name in names}
    return {name: found for name, found in others.items() if found}


def spec_of(plan: AdaptPlan) -> FootageSpec:
    """The footage as a recipe's data entry, its labels kept in the plan's folder."""
    labels = plan.labels
    return FootageSpec(
        files=[str(path) for path in plan.footage],
        teachers=list(labels.teachers),
        segmenter=labels.segmenter,
        known=None if labels.classes is None else list(labels.classes),
        thresholds=dict(labels.thresholds),
        merge=labels.merge,
        fps=labels.fps,
        frames=labels.frames,
        hold_out=labels.hold_out,
        cache=str(plan.output / LABELS),
    )


def settings_of(plan: AdaptPlan, start: Path) -> dict[str, Any]:
    """What decides the result, for a folder to be known by."""
    return {
        "footage": sorted(fingerprint_of(plan.footage).values()),
        "labels": json.loads(json.dumps(asdict(replace(plan.labels, teachers=())), default=dict)),
        "teachers": list(plan.labels.teachers),
        "start": checksum_of(str(start)),
        "minutes": plan.minutes if plan.steps is None else None,
        "steps": plan.steps,
        "rehearse": plan.rehearse,
        "seed": plan.seed,
    }


def check_same(was: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse a folder of other settings. Raises `ConfigError` naming the first that differs."""
    flat = [{**one, **one.get("labels", {})} for one in (was, now)]
    for name in flat[1]:
        if name != "labels" and flat[0].get(name) != flat[1][name]:
            shown = "" if name in ("footage", "start") else f" {flat[0].get(name)!r}, now {flat[1][name]!r}"
            raise ConfigError(
                f"--output: {folder} was begun with other settings ({name}{shown}); give another folder, or the same "
                "settings to go on"
            )
