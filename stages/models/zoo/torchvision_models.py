"""Networks by name from torchvision, with weights from a file or as torchvision publishes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from stages.models.zoo.folding import fold_normalisations
from stages.models.zoo.fusing import fuse_convolutions
from stages.models.zoo.weights import Published, check_sha256, fill, load_state, published_file, sha256_of

_EPSILON_OF_PUBLISHED = {  # their published weights were trained with frozen normalisation that adds nothing
    "fasterrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
}


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A network of torchvision with its weights."""

    network: Any
    names: tuple[str, ...]  # of its scores in order, those without a meaning included
    version: str


def load(
    name: str,
    *,
    weights: str | None,
    sha256: str | None,
    offline: bool,
    class_names: Sequence[str] | None,
    background: bool,
) -> Loaded:
    """A network with its weights.

    Args:
        name: as torchvision has it.
        weights: a file; None for torchvision's published weights.
        sha256: what the file must have, or begin with.
        offline: fetch nothing.
        class_names: of the network that the file belongs to, without its background; None as published.
        background: whether its first score is for no object, and so without a name among `class_names`.

    Raises:
        ModelError: when the weights are missing, damaged or another network's.
    """
    from torchvision import models

    published = models.get_model_weights(name).DEFAULT
    names = tuple(published.meta["categories"])
    if class_names is not None:
        names = (("__background__",) if background else ()) + tuple(class_names)
    model = f"torchvision:{name}"
    if weights is None:
        digits = published.url.rpartition("-")[2].partition(".")[0]
        path = published_file(Published(published.url, digits), model=model, offline=offline)
    else:
        path = Path(weights)
    state = load_state(path)
    version = sha256_of(path)
    check_sha256(version, sha256, path=path)
    settings = {"aux_loss": True} if any(key.startswith("aux_classifier.") for key in state) else {}
    try:
        network = make_network(name, num_classes=len(names), **settings)
    except (TypeError, ValueError) as exc:
        raise ModelError(f"{model}: torchvision cannot make it with {len(names)} classes: {exc}") from exc
    fill(network, state, path=path, model=model)
    if name in _EPSILON_OF_PUBLISHED and path.name == published.url.rpartition("/")[2]:
        _without_epsilon(network)
    fold_normalisations(network.eval())
    fuse_convolutions(network)
    return Loaded(network, names, version)


def make_network(name: str, **settings: Any) -> Any:
    """A network with random weights, and nothing fetched. Raises `ValueError`, `TypeError`."""
    from torchvision import models

    return models.get_model(name, weights=None, weights_backbone=None, **settings)


def _without_epsilon(network: Any) -> None:
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
