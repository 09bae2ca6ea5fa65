"""What is exported, read from where it lies: a checkpoint, an exported ONNX file, or the network in the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.config import EMBEDDED_MODEL
from pipeline.errors import ModelError
from pipeline.messages import Classes
from stages.detect.build import model_file
from stages.models.evaluation.models import CHECKPOINT
from stages.models.exporting.card import class_offsets, read_whole_card
from stages.models.exporting.export import Trained
from stages.models.exporting.unfold import refolded


def open_averaged(model: str, others: Sequence[str]) -> Trained:
    """A checkpoint's network with the mean of its weights and those of other checkpoints.

    Of trainings that went on from one another the mean is often better than each, and forgets less of what the later
    one saw little of (Wortsman et al. 2022, arXiv:2203.05482 and 2109.01903).

    Args:
        model: a checkpoint of `everyframe train`; with no others, whatever `open_trained` takes.
        others: more checkpoints, of networks of the same shape and classes.

    Raises:
        ModelError: when one cannot be read, is no checkpoint or is of another network.
    """
    first = open_trained(model)
    if not others:
        return first
    states = [first.network.state_dict()]
    for other in (model, *others):
        if Path(other).suffix != CHECKPOINT:
            raise ModelError(f"{other}: only checkpoints of 'everyframe train' ({CHECKPOINT}) can be averaged")
    for other in others:
        read = open_trained(other)
        if (read.network.config, read.classes) != (first.network.config, first.classes):
            raise ModelError(f"{other}: its network has another shape or other classes than that of {model}")
        states.append(read.network.state_dict())
    with torch.no_grad():
        for name, tensor in first.network.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.stack([state[name] for state in states]).mean(0))
    return first


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
