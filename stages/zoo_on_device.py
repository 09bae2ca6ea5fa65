"""Networks of torchvision and transformers as one stage on a device."""

from __future__ import annotations

from pipeline.config import DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.messages import Classes, ModelInfo
from stages.detect.on_device import BoxReader
from stages.detect.zoo import labels_kept, threshold_of
from stages.models.device_backend import DeviceBackend
from stages.models.zoo.model import TorchModel
from stages.models.zoo.run import Machine, look_with
from stages.on_device import OnDevice, Reader
from stages.segment.labels import join_classes
from stages.segment.on_device import Boxes, BoxesWithMaps, Queries
from stages.segment.queries import SCORE_THRESHOLD
from stages.segment.zoo import panoptic_classes


def zoo_on_device(
    model: TorchModel,
    config: DetectorConfig,
    machine: Machine,
    *,
    suppress: SuppressConfig,
    beside: TorchModel | None = None,
    segmenter: SegmenterConfig | None = None,
) -> tuple[OnDevice, Classes]:
    """The stage of a detector or panoptic network, with a semantic one beside it or not, and its classes.

    Raises:
        ModelError: when the device cannot run them.
        ConfigError: when a setting does not fit them.
    """
    detector = look_with(model, config, machine)
    notes, second = [_note(model, detector)], None
    reader: Reader
    if model.gives == "panoptic":
        classes = panoptic_classes(model, config)
        threshold = SCORE_THRESHOLD if config.score_threshold is None else config.score_threshold
        reader = Queries(model.picture, classes, score_threshold=threshold)
    else:
        classes, labels = Classes(model.names), None
        if beside is not None and segmenter is not None:
            second = look_with(beside, segmenter, machine)
            notes.append(_note(beside, second))
            classes, labels = join_classes(model.names, beside.names)
        boxes = BoxReader(
            score_threshold=threshold_of(config),
            suppress=suppress,
            kept_labels=labels_kept(model, config),
            class_count=len(model.names),
        )
        if second is None and model.gives == "boxes":
            reader = Boxes(boxes)
        else:
            picture = beside.picture if beside is not None and second is not None else None
            reader = BoxesWithMaps(boxes, classes, beside=picture, semantic_labels=labels)
    stage = OnDevice(
        detector,
        reader=reader,
        model=ModelInfo(model.name, model.version[:12]),
        segmenter=second,
        lanes=machine.lanes,
        name="detect" if "panoptic" not in reader.adds else "detect+segment",
        note="; ".join(notes),
    )
    return stage, classes


def _note(model: TorchModel, backend: DeviceBackend) -> str:
    return f"{model.name} ({model.picture.width}x{model.picture.height}): {backend.note}"
