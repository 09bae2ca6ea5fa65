"""Detectors of torchvision and transformers as detection stages."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from pipeline.config import DetectorConfig, SuppressConfig
from pipeline.errors import ConfigError
from pipeline.messages import Classes, Float32, Int32, Int64, ModelInfo
from stages.detect.detect import Detect
from stages.detect.layout import Candidates
from stages.models.network_stage import Outputs
from stages.models.zoo.model import TorchModel
from stages.models.zoo.naming import check_known
from stages.models.zoo.run import Machine, run_on

SCORE_THRESHOLD = 0.1


def torch_detector(config: DetectorConfig, machine: Machine, suppress: SuppressConfig) -> TorchModel:
    """The network that ``torchvision:NAME`` or ``transformers:FOLDER`` names. Raises `ModelError`, `ConfigError`."""
    library, _, name = config.model.partition(":")
    if library == "torchvision":
        from stages.models.zoo.torchvision_detectors import DETECTORS, torchvision_detector

        check_known(name, DETECTORS, setting="detector.model")

        def select(boxes: Float32, scores: Float32, labels: Int32) -> Int64:
            return kept_rows(boxes, scores, labels, config=suppress)

        return torchvision_detector(
            name,
            weights=config.weights,
            sha256=config.sha256,
            offline=machine.offline,
            class_names=config.class_names,
            size=config.picture_size,
            select=select,
        )
    from stages.models.zoo.transformers_models import transformers_detector

    if config.weights is not None:
        raise ConfigError("detector.weights: for torchvision models; a transformers folder has its weights in it")
    return transformers_detector(
        name,
        sha256=config.sha256,
        offline=machine.offline,
        class_names=config.class_names,
        size=config.picture_size,
    )


def detect_with(model: TorchModel, config: DetectorConfig, machine: Machine) -> Detect:
    """The detection stage of a network that gives boxes. Raises `ModelError`, `ConfigError`."""
    kept = labels_kept(model, config)
    backend = run_on(model, config, machine)
    picture = model.picture
    return Detect(
        backend,
        picture=picture,
        decode=candidates,
        classes=Classes(model.names),
        model=ModelInfo(model.name, model.version[:12]),
        score_threshold=threshold_of(config),
        kept_labels=kept,
        note=f"{model.name} ({picture.width}x{picture.height}): {backend.note}",
        overlaps=model.overlaps,
    )


def labels_kept(model: TorchModel, config: DetectorConfig) -> Collection[int] | None:
    """The labels that are asked for; None for all. Raises `ConfigError`."""
    from stages.detect.build import chosen_labels

    return None if config.classes is None else chosen_labels(config.classes, model.names)


def threshold_of(config: DetectorConfig) -> float:
    """What a candidate's score must reach."""
    return SCORE_THRESHOLD if config.score_threshold is None else config.score_threshold


def candidates(outputs: Outputs, threshold: float) -> Candidates:
    """Boxes [1, K, 4], scores and labels [1, K], and masks [1, K, M * M] where there are any, above the threshold."""
    boxes, scores, labels, *masks = (output[0] for output in outputs)
    rows = np.flatnonzero((scores >= np.float32(threshold)) & (scores > 0))
    return Candidates(boxes[rows], scores[rows], labels[rows].astype(np.int32), masks[0][rows] if masks else None)


def kept_rows(boxes: Float32, scores: Float32, labels: Int32, *, config: SuppressConfig) -> Int64:
    """The rows that suppression will keep.

    Suppressing what was kept gives the same again, since what was not kept came after it, and acted on nothing.
    """
    from stages.suppress.suppress import suppress

    rows, _ = suppress(
        boxes,
        scores,
        labels,
        method=config.method,
        sigma=config.sigma,
        iou_threshold=config.iou_threshold,
        score_threshold=config.score_threshold,
        max_detections=config.max_detections,
        class_agnostic=config.class_agnostic,
    )
    return rows
