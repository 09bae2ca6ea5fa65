"""Which pixels of a frame are of which object and of which kind of ground, as a network with masks says."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.config import EMBEDDED_MODEL, DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.errors import DataError, ModelError
from pipeline.messages import Batch, Detections, PanopticMap, Segments
from pipeline.stage import Stage
from stages.models.adaptation.found import Found, pairs
from stages.models.evaluation.subject import frame_of, relabelling, run_stages
from stages.models.labelled.taxonomy import Taxonomy


class Mapper(Protocol):
    """Tells which pixels of a frame are of which object and of which kind of ground."""

    @property
    def name(self) -> str:
        """What it is, for a person."""
        ...

    def map(self, rgb: NDArray[np.uint8], objects: Detections) -> PanopticMap:
        """Its map of a picture [H, W, 3] in the network's classes, given the objects in it.

        `detection_index` of a segment is its row among the objects, -1 where it is of none. Raises `ModelError`.
        """
        ...


class SegmenterMapper:
    """A semantic network: an object is its class's pixels inside its box, and ground is ground.

    Args:
        model: an ONNX file.
        taxonomy: of the network that will learn.

    Raises:
        ModelError, ConfigError: as `build_segmenter`.
        DataError: when it knows none of the classes.
    """

    def __init__(self, model: str, taxonomy: Taxonomy) -> None:
        from stages.segment import PanopticMerge, build_segmenter
        from stages.segment.labels import SYNONYMS

        self._segment = build_segmenter(SegmenterConfig(model=model))
        names = self._segment.class_names
        labels = [taxonomy.label(SYNONYMS.get(name, name)) for name in names]
        if all(label is None for label in labels):
            raise DataError(f"segmenter {model}: it knows none of the classes {', '.join(taxonomy.classes.names)}")
        self._merge = PanopticMerge(classes=taxonomy.classes, semantic_labels=labels, rule="boxes")
        self.name = Path(model).stem

    def map(self, rgb: NDArray[np.uint8], objects: Detections) -> PanopticMap:
        """Its map of a picture [H, W, 3], given the objects in it. Raises `ModelError`."""
        batch = self._merge(self._segment(Batch((frame_of(rgb),))).with_(detections=(objects,)))
        panoptic = batch.panoptic[0] if batch.panoptic else None
        assert panoptic is not None
        return panoptic


class NetworkMapper:
    """A network with masks of its own, as everyframe-nano: an object has the mask of what the network finds there.

    Args:
        model: ``everyframe-nano``, or an ONNX file of its layout.
        taxonomy: of the network that will learn.

    Raises:
        ModelError: when it cannot be loaded, or gives no masks.
        DataError: when it knows none of the classes.
    """

    def __init__(self, model: str, taxonomy: Taxonomy) -> None:
        from stages.detect import build_detector
        from stages.segment import PanopticMerge
        from stages.suppress import Suppress

        detector = build_detector(DetectorConfig(model=model))
        if "prototypes" not in detector.adds:
            raise ModelError(f"segmenter {model}: it gives no masks; a semantic network or everyframe-nano does")
        channels = list(range(len(detector.classes.names)))
        merge = PanopticMerge(classes=detector.classes, semantic_labels=channels, rule="instances")
        self._stages: list[Stage] = [detector, Suppress(SuppressConfig()), merge]
        self._labels = relabelling(detector.classes, taxonomy)
        if (self._labels < 0).all():
            raise DataError(f"segmenter {model}: it knows none of the classes {', '.join(taxonomy.classes.names)}")
        self.name = detector.model.name

    def map(self, rgb: NDArray[np.uint8], objects: Detections) -> PanopticMap:
        """Its map of a picture [H, W, 3], given the objects in it. Raises `ModelError`."""
        batch = run_stages(self._stages, frame_of(rgb))
        panoptic = batch.panoptic[0] if batch.panoptic else None
        assert panoptic is not None
        return panoptic.with_segments(of_objects(panoptic.segments, self._labels, objects))


def of_objects(segments: Segments, labels: NDArray[np.int64], objects: Detections) -> Segments:
    """Segments in the taxonomy's labels, each thing's with the row of the object whose box it fills, or -1.

    Args:
        segments: of a network's own map.
        labels: [C], from `relabelling`; segments of classes without one are left out.
        objects: in the taxonomy's labels.
    """
    kept = segments[labels[segments.labels] >= 0]
    own = labels[kept.labels].astype(np.int32)
    things = np.flatnonzero(kept.is_thing)
    found = Found.of(kept.boxes[things], kept.scores[things], own[things].astype(np.int64))
    wanted = Found.of(objects.boxes, objects.scores, objects.labels.astype(np.int64))
    index = np.full(len(kept), -1, np.int32)
    index[things] = pairs(found, wanted, iou=0.5)
    return Segments(kept.ids, own, kept.is_thing, kept.scores, kept.areas, kept.boxes, index, kept.track_ids)


def open_mapper(model: str, taxonomy: Taxonomy) -> Mapper:
    """What tells pixels apart: a network of ours by its card, else a semantic network. Raises as they do."""
    if model == EMBEDDED_MODEL or Path(model).with_suffix(".json").is_file():
        return NetworkMapper(model, taxonomy)
    return SegmenterMapper(model, taxonomy)
