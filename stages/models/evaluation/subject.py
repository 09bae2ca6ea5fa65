"""A model that is measured: its stages as a run builds them, and what they find, in the truth's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.config import EMBEDDED_MODEL, DetectorConfig, SuppressConfig
from pipeline.messages import Batch, Classes, Detections, Frame, ModelInfo, PanopticMap, Surface
from pipeline.stage import Stage
from stages.models.backend import PictureSize
from stages.models.evaluation.augmentation import Augmentation, Augmented
from stages.models.labelled.taxonomy import Taxonomy

if TYPE_CHECKING:
    from stages.detect import Detect

# AP counts boxes down to nearly nothing, as COCO's own evaluations do; whatever is counted one by one, from a run's.
SCORE_FLOOR: Final = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a model finds in a picture, in the labels of the truth."""

    detections: Detections
    panoptic: NDArray[np.int64] | None  # label and instance of each pixel [H, W, 2], -1 void; None without masks


class Subject:
    """A loaded model.

    Args:
        model: `everyframe-nano`, or the path of an ONNX file in a layout of `stages.detect`.
        name: what it is called; None: by its file.
        score_floor: boxes from here; None: from where a run takes them.
        threads: of inference; 0: all cores.
        augmentation: how often a picture is looked at; None: once.
        picture_size: width and height of the network's picture, where its file leaves that open; None: its own.

    Raises:
        ModelError: when the model cannot be loaded.
        ConfigError: when its classes are not known.
    """

    def __init__(
        self,
        model: str = EMBEDDED_MODEL,
        *,
        name: str | None = None,
        score_floor: float | None = SCORE_FLOOR,
        threads: int = 0,
        augmentation: Augmentation | None = None,
        picture_size: PictureSize | None = None,
    ) -> None:
        config = DetectorConfig(model=model, score_threshold=score_floor, threads=threads, picture_size=picture_size)
        suppress = SuppressConfig()
        if score_floor is not None:
            suppress = msgspec.structs.replace(suppress, score_threshold=score_floor)
        self.stages, self.classes, self.info, self.note = build_stages(config, suppress)
        self.input_size = cast("Detect", self.stages[0]).input_size
        if augmentation is not None:
            self.stages[0] = Augmented(self.stages[0], augmentation)
        self.name = name or (model if model == EMBEDDED_MODEL else Path(model).stem)
        self.has_masks = any("panoptic" in stage.adds for stage in self.stages)

    def __call__(self, image: NDArray[np.uint8], taxonomy: Taxonomy, *, seq: int = 0) -> Found:
        """What is in an RGB picture [H, W, 3]."""
        batch = run_stages(self.stages, frame_of(image, seq=seq))
        return self.found_in(batch, taxonomy)

    def found_in(self, batch: Batch, taxonomy: Taxonomy) -> Found:
        """The one frame of a batch that has been through the stages."""
        table = relabelling(self.classes, taxonomy)
        detections = relabelled((batch.detections or (Detections.empty(),))[0], table, things=len(taxonomy.things))
        panoptic = batch.panoptic[0] if batch.panoptic else None
        if panoptic is None:
            return Found(detections, None)
        frame = batch.frames[0]
        pixels = pixels_of(panoptic, frame.height, frame.width, table=table)
        return Found(detections, pixels)

    def labels(self, taxonomy: Taxonomy) -> frozenset[int]:
        """Labels of the truth that this model can find: things, and stuff where it gives masks."""
        table = relabelling(self.classes, taxonomy)
        known = table if self.has_masks else table[: len(self.classes.things)]
        return frozenset(label for label in known.tolist() if label >= 0)


def build_stages(config: DetectorConfig, suppress: SuppressConfig) -> tuple[list[Stage], Classes, ModelInfo, str]:
    """Detection, suppression and merge as a run builds them; with the classes, the model and how it runs.

    Raises `ModelError`, `ConfigError`.
    """
    from stages.detect import build_detector
    from stages.segment import PanopticMerge
    from stages.suppress import Suppress

    detector = build_detector(config)
    stages: list[Stage] = [detector, Suppress(suppress)]
    if "semantic" in detector.adds:
        labels = list(range(len(detector.classes.names)))
        stages.append(PanopticMerge(classes=detector.classes, semantic_labels=labels, rule="instances"))
    return stages, detector.classes, detector.model, detector.note


def frame_of(image: NDArray[np.uint8], *, seq: int = 0, source_id: str = "evaluation", time_ns: int = 0) -> Frame:
    """An RGB picture [H, W, 3] as a decoded frame."""
    return Frame(
        source_id=source_id,
        epoch=1,
        seq=seq,
        pts=seq,
        time_base=Fraction(1, 25),
        capture_time_ns=time_ns,
        clock="recording",
        arrival_monotonic_ns=0,
        surface=Surface("rgb24", (np.ascontiguousarray(image),)),
    )


def run_stages(stages: Sequence[Stage], frame: Frame) -> Batch:
    """One frame through all of them."""
    batch = Batch((frame,))
    for stage in stages:
        batch = stage(batch)
    return batch


def relabelling(classes: Classes, taxonomy: Taxonomy) -> NDArray[np.int64]:
    """The truth's label of each of a model's [C]; -1 where it has none, or a thing would be stuff."""
    table = np.full(len(classes.names), -1, np.int64)
    for own, name in enumerate(classes.names):
        label = taxonomy.label(name)
        if label is not None and classes.is_thing(own) == taxonomy.classes.is_thing(label):
            table[own] = label
    return table


def relabelled(detections: Detections, table: NDArray[np.int64], *, things: int) -> Detections:
    """Detections in the truth's labels; without those that it has none for."""
    labels = table[detections.labels]
    kept = np.flatnonzero((labels >= 0) & (labels < things))
    scores = detections.scores[kept]
    return Detections.of(detections.boxes[kept], scores, labels[kept].astype(np.int32))


def pixels_of(panoptic: PanopticMap, height: int, width: int, *, table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label and instance of each pixel of the source, nearest: [H, W, 2]; label -1 is void."""
    segments = panoptic.segments
    labels = np.full(int(segments.ids.max(initial=0)) + 1, -1, np.int64)
    labels[segments.ids] = table[segments.labels]
    instances = np.zeros_like(labels)
    instances[segments.ids[segments.is_thing]] = segments.ids[segments.is_thing]
    ids = panoptic.at_size(width, height)
    return np.stack([labels[ids], instances[ids]], -1)
