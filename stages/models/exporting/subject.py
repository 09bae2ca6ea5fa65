"""What is exported, read from where it lies: a checkpoint, an exported ONNX file, or the network in the package."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import EMBEDDED_MODEL
from pipeline.errors import ModelError
from pipeline.messages import Classes
from stages.detect.build import model_file
from stages.models.exporting.card import class_offsets, read_whole_card
from stages.models.exporting.export import Trained
from stages.models.exporting.unfold import refolded


def open_trained(model: str) -> Trained:
    """The network of a checkpoint of `everyframe train`, of an exported ONNX file with its card, or the embedded one.

    Raises:
        ModelError: when it cannot be read, naming what it lacks.
    """
    path = model_file(model) if model == EMBEDDED_MODEL else Path(model)
    if path.suffix == ".onnx":
        return _of_onnx(path)
    if path.suffix in (".xml", ".bin", ".pt2"):
        raise ModelError(f"{path}: cannot be exported again; a checkpoint or an ONNX file of 'everyframe export' can")
    from stages.models.training.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(path)
    return Trained(
        network=checkpoint.network,
        classes=checkpoint.taxonomy.classes,
        gathers=checkpoint.taxonomy.gathers,
        training=checkpoint.training,
    )


def _of_onnx(path: Path) -> Trained:
    card = read_whole_card(path)
    classes = Classes(tuple(map(str, card["things"])), tuple(map(str, card["stuff"])))
    shifts = class_offsets(path, card, classes.things)
    return Trained(network=refolded(path), classes=classes, offsets=shifts, training=str(card.get("training", "")))
