"""Networks of torchvision and transformers as segmentation stages."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import DetectorConfig, SegmenterConfig
from pipeline.errors import ConfigError
from pipeline.messages import Classes, ModelInfo
from pipeline.stage import Stage
from stages.models.zoo.model import TorchModel
from stages.models.zoo.naming import check_known
from stages.models.zoo.run import Machine, run_on
from stages.models.zoo.things import is_thing
from stages.segment.box_masks import MergeBoxMasks
from stages.segment.panoptic import PanopticMerge
from stages.segment.queries import PanopticQueries
from stages.segment.segment import Segment


def torch_segmenter(config: SegmenterConfig, machine: Machine) -> TorchModel:
    """The semantic network that ``torchvision:NAME`` or ``transformers:FOLDER`` names, beside a detector.

    Raises `ModelError`, `ConfigError`.
    """
    library, _, name = config.model.partition(":")
    return _torchvision(name, config, machine) if library == "torchvision" else _transformers(name, config, machine)


def segment_with(model: TorchModel, config: SegmenterConfig, machine: Machine) -> Segment:
    """The segmentation stage of a semantic network. Raises `ModelError`, `ConfigError`."""
    backend = run_on(model, config, machine)
    picture = model.picture
    return Segment(
        backend,
        picture=picture,
        logits=lambda outputs: outputs[0][0],
        class_names=model.names,
        note=f"{model.name} ({len(model.names)} classes, {picture.width}x{picture.height}): {backend.note}",
    )


def panoptic_with(model: TorchModel, config: DetectorConfig, machine: Machine) -> PanopticQueries:
    """The stage of a network that gives things and stuff by itself. Raises `ModelError`, `ConfigError`."""
    classes = panoptic_classes(model, config)
    backend = run_on(model, config, machine)
    picture = model.picture
    return PanopticQueries(
        backend,
        picture=picture,
        classes=classes,
        model=ModelInfo(model.name, model.version[:12]),
        score_threshold=config.score_threshold,
        note=f"{model.name} ({picture.width}x{picture.height}): {backend.note}",
    )


def panoptic_classes(model: TorchModel, config: DetectorConfig) -> Classes:
    """The classes of a panoptic network, which gives things first. Raises `ConfigError`."""
    if config.classes is not None:
        raise ConfigError(f"detector.classes: {config.model} paints every pixel, and cannot leave classes out")
    things = tuple(name for name in model.names if is_thing(name))
    return Classes(things, model.names[len(things) :])


def merge_for(model: TorchModel, *, classes: Classes, semantic_labels: Sequence[int | None] | None) -> Stage | None:
    """What makes panoptic maps of a detector's boxes, its masks, and a segmenter's labels; None of boxes alone."""
    if model.gives == "box masks":
        return MergeBoxMasks(classes=classes, semantic_labels=semantic_labels)
    if semantic_labels is None:
        return None
    return PanopticMerge(classes=classes, semantic_labels=semantic_labels, rule="boxes")


def _torchvision(name: str, config: SegmenterConfig, machine: Machine) -> TorchModel:
    from stages.models.zoo.torchvision_segmenters import SEGMENTERS, torchvision_segmenter

    check_known(name, SEGMENTERS, setting="segmenter.model")
    return torchvision_segmenter(
        name,
        weights=config.weights,
        sha256=config.sha256,
        offline=machine.offline,
        class_names=config.class_names,
        size=config.picture_size,
    )


def _transformers(name: str, config: SegmenterConfig, machine: Machine) -> TorchModel:
    from stages.models.zoo.transformers_models import transformers_segmenter

    if config.weights is not None:
        raise ConfigError("segmenter.weights: for torchvision models; a transformers folder has its weights in it")
    return transformers_segmenter(
        name,
        sha256=config.sha256,
        offline=machine.offline,
        class_names=config.class_names,
        size=config.picture_size,
    )
