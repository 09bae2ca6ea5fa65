"""How good a network is: frames of worlds it never saw, through the stages that a run uses, held against the truth.

Objects hidden or cut off to less than 15%, or with a shorter side under 6 pixels at 512 pixels' width, are crowd in box
AP and void in panoptic quality: finding them is neither right nor wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EMBEDDED_MODEL, DetectorConfig, SuppressConfig
from pipeline.messages import Batch, Detections, Frame, PanopticMap, Surface
from pipeline.stage import Stage
from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.views import MIN_SIDE_PIXELS, MIN_VISIBILITY, is_ignored
from stages.models.labelled.world import sample_of
from stages.models.nano.box_precision import BoxPrecision
from stages.models.nano.segment_quality import SegmentQuality
from stages.models.world import CLASSES, THINGS, World

REFERENCE_WIDTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """Which frames. Seeds are far from those of training, and fixed: the same plan gives the same figures.

    Attributes:
        split: of the worlds; `unseen` holds out palettes, shapes, cameras and weather.
        worlds: how many.
        frames_per_world: frames of each.
        seconds_between: how far apart.
        width: of a source frame, pixels.
        height: of a source frame, pixels.
        first_seed: of the first world.
    """

    split: Literal["train", "unseen"] = "unseen"
    worlds: int = 200
    frames_per_world: int = 2
    seconds_between: float = 2.0
    width: int = 640
    height: int = 360
    first_seed: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured: fractions, not percent; None where a class never occurred."""

    plan: EvaluationPlan
    ap50: float
    ap: float
    ap50_by_class: dict[str, float | None]
    ap_by_class: dict[str, float | None]
    quality: dict[str, dict[str, float]]  # all, things, stuff -> pq, sq, rq
    pq_by_class: dict[str, float]
    ignored: str

    def to_json(self) -> str:
        """Everything, indented."""
        return json.dumps(asdict(self), indent=2)


def evaluate(plan: EvaluationPlan, *, model: Path | None = None) -> Figures:
    """Measure a model, by default the embedded one.

    Args:
        plan: which frames.
        model: an ONNX file in the layout of everyframe-nano.

    Raises:
        ModelError: when the model cannot be loaded.
    """
    stages = build_stages(model)
    boxes, segments = BoxPrecision(THINGS), SegmentQuality(CLASSES, things=len(THINGS))
    for index, sample in enumerate(samples(plan)):
        ignored = is_ignored(sample, scale=REFERENCE_WIDTH / plan.width)
        detections, panoptic = analyse(stages, sample.image, seq=index)
        boxes.add(detections, truth_boxes=sample.boxes, truth_labels=sample.labels, ignored=ignored)
        segments.add(upsampled(panoptic, plan.height, plan.width), truth_of(sample, ignored))
    ap_by_class, ap50_by_class = boxes.by_class()
    return Figures(
        plan=plan,
        ap50=_mean(ap50_by_class),
        ap=_mean(ap_by_class),
        ap50_by_class=ap50_by_class,
        ap_by_class=ap_by_class,
        quality=segments.quality(),
        pq_by_class=segments.by_class(),
        ignored=f"visibility < {MIN_VISIBILITY} or shorter side < {MIN_SIDE_PIXELS:g} px at {REFERENCE_WIDTH} px width",
    )


def build_stages(model: Path | None) -> list[Stage]:
    """Detection, suppression and merge as a run builds them, at a run's own settings."""
    from stages.detect import build_detector
    from stages.segment import PanopticMerge
    from stages.suppress import Suppress

    detector = build_detector(DetectorConfig(model=EMBEDDED_MODEL if model is None else str(model)))
    labels = list(range(len(detector.classes.names)))
    merge = PanopticMerge(classes=detector.classes, semantic_labels=labels, rule="instances")
    return [detector, Suppress(SuppressConfig()), merge]


def samples(plan: EvaluationPlan) -> Iterator[Sample]:
    """The plan's frames, in order of seed and time."""
    for seed in range(plan.first_seed, plan.first_seed + plan.worlds):
        world = World(seed, split=plan.split, width=plan.width, height=plan.height)
        for _ in range(plan.frames_per_world):
            yield sample_of(world.render())
            world.step(plan.seconds_between)


def analyse(stages: list[Stage], image: NDArray[np.uint8], *, seq: int) -> tuple[Detections, PanopticMap]:
    """One RGB picture [H, W, 3] through the stages."""
    frame = Frame(
        source_id="evaluation",
        epoch=1,
        seq=seq,
        pts=seq,
        time_base=Fraction(1, 25),
        capture_time_ns=0,
        clock="recording",
        arrival_monotonic_ns=0,
        surface=Surface("rgb24", (image,)),
    )
    batch = Batch((frame,))
    for stage in stages:
        batch = stage(batch)
    panoptic = batch.panoptic[0] if batch.panoptic else None
    if batch.detections is None or panoptic is None:
        raise ValueError("the stages gave no detections or no panoptic map")
    return batch.detections[0], panoptic


def upsampled(panoptic: PanopticMap, height: int, width: int) -> NDArray[np.int64]:
    """Label and instance at each source pixel, nearest: [H, W, 2]; label -1 is void."""
    transform = panoptic.transform
    rows = ((np.arange(height) + 0.5 - transform.offset_y) / transform.scale_y).astype(np.int64)
    columns = ((np.arange(width) + 0.5 - transform.offset_x) / transform.scale_x).astype(np.int64)
    ids = panoptic.ids[rows.clip(0, panoptic.ids.shape[0] - 1)][:, columns.clip(0, panoptic.ids.shape[1] - 1)]
    segments = panoptic.segments
    labels = np.full(int(segments.ids.max(initial=0)) + 1, -1, np.int64)
    labels[segments.ids] = segments.labels
    instances = np.zeros_like(labels)
    instances[segments.ids[segments.is_thing]] = segments.ids[segments.is_thing]
    return np.stack([labels[ids], instances[ids]], -1)


def truth_of(sample: Sample, ignored: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The same for the truth, ignored objects void."""
    labels, instances = np.full(256, -1, np.int64), np.zeros(256, np.int64)
    labels[1:FIRST_OBJECT] = np.arange(len(THINGS), len(THINGS) + FIRST_OBJECT - 1)
    objects = slice(FIRST_OBJECT, FIRST_OBJECT + len(sample.labels))
    labels[objects] = np.where(ignored, -1, sample.labels)
    instances[objects] = np.where(ignored, 0, 1 + np.arange(len(sample.labels)))
    return np.stack([labels[sample.regions], instances[sample.regions]], -1)


def table(figures: Figures) -> str:
    """The figures for a person, in percent."""
    plan = figures.plan
    lines = [
        f"{plan.worlds * plan.frames_per_world} frames of {plan.worlds} {plan.split} worlds, "
        f"{plan.width}x{plan.height}",
        f"ignored: {figures.ignored}",
        "",
        f"{'':12}{'AP50':>8}{'AP':>8}{'PQ':>8}{'SQ':>8}{'RQ':>8}",
    ]
    for name in CLASSES:
        cells = [figures.ap50_by_class.get(name), figures.ap_by_class.get(name), figures.pq_by_class[name], None, None]
        lines.append(f"{name:12}{''.join(map(_percent, cells))}")
    for name, values in figures.quality.items():
        boxes = [figures.ap50, figures.ap] if name in ("all", "things") else [None, None]
        lines.append(f"{name:12}{''.join(map(_percent, [*boxes, values['pq'], values['sq'], values['rq']]))}")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return f"{'':>8}" if value is None else f"{100 * value:8.1f}"


def _mean(values: dict[str, float | None]) -> float:
    present = [value for value in values.values() if value is not None]
    return float(np.mean(present)) if present else 0.0
