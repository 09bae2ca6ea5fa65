"""What a training begins with: the network, what of it is trained, and the teacher."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from pipeline.errors import ConfigError, ModelError
from stages.models.extras import need
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.nano.backbone import ShuffleBackbone
from stages.models.nano.network import Nano
from stages.models.training.checkpoint import read_checkpoint
from stages.models.training.recipe import Recipe
from stages.models.training.teacher import DenseTeacher

# Of pictures that the norms of an exported network are measured on.
UNFOLDING_BATCHES = 40
TRAINED: dict[str, tuple[str, ...]] = {
    "all": ("",),
    "heads": ("heads", "mask_features", "prototypes", "semantic"),
    "boxes": ("heads",),
    "masks": ("mask_features", "prototypes", "semantic"),
}


def start_network(recipe: Recipe, taxonomy: Taxonomy, pictures: Iterable[Tensor]) -> Nano:
    """The network that a training begins with.

    Args:
        recipe: how.
        taxonomy: the classes.
        pictures: batches [N, 3, H, W] as they will be learnt from, for the norms of an exported network; else left.

    Raises:
        ModelError: when what it is to start from cannot be read, or is of other classes or another shape.
        ConfigError: for weights of a backbone that the network does not have.
    """
    config = recipe.network_config(taxonomy)
    if recipe.start is None:
        network = Nano(config)
    elif recipe.start.endswith(".onnx"):
        need(f"start: {recipe.start}", "onnx", extra="train")
        from stages.models.exporting.unfold import unfolded

        network = unfolded(Path(recipe.start), pictures, config=config)
    else:
        found = read_checkpoint(Path(recipe.start))
        if found.taxonomy.classes != taxonomy.classes or found.network.config != config:
            raise ModelError(
                f"start: {recipe.start} tells other classes apart, or is of another shape, than the recipe"
            )
        network = found.network
    if recipe.backbone_weights is not None:
        if not isinstance(network.backbone, ShuffleBackbone):
            raise ConfigError("backbone_weights: they are ShuffleNetV2's; network.backbone is csp")
        network.backbone.load_pretrained(Path(recipe.backbone_weights))
    return network


def freeze(network: Nano, parts: str) -> None:
    """Leave training to some modules; the others keep weights and norms as they are."""
    network.train()
    names = TRAINED[parts]
    for name, module in network.named_children():
        if not any(name.startswith(one) for one in names):
            module.requires_grad_(False)
            for norm in module.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.eval()


def teacher_of(recipe: Recipe, taxonomy: Taxonomy) -> DenseTeacher | None:
    """The recipe's teacher. Raises `ModelError`, `ConfigError`."""
    if recipe.teacher is None:
        return None
    from stages.detect import COCO_CLASSES

    return DenseTeacher(Path(recipe.teacher.model), recipe.teacher.names or list(COCO_CLASSES), taxonomy)
