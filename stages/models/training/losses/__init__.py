"""What the network is trained on: terms that are pure functions, chosen by name, and their weighted sum."""

from stages.models.training.losses.boxes import BOX_LOSSES, box_loss, distribution_loss
from stages.models.training.losses.classes import CLASS_LOSSES, class_loss
from stages.models.training.losses.config import LossSettings, LossWeightSettings
from stages.models.training.losses.masks import MASK_LOSSES, inside_boxes, mask_loss
from stages.models.training.losses.stuff import STUFF_LOSSES, semantic_loss
from stages.models.training.losses.target import VOID, Target
from stages.models.training.losses.total import best_of_each, total_loss

__all__ = [
    "BOX_LOSSES",
    "CLASS_LOSSES",
    "MASK_LOSSES",
    "STUFF_LOSSES",
    "VOID",
    "LossSettings",
    "LossWeightSettings",
    "Target",
    "best_of_each",
    "box_loss",
    "class_loss",
    "distribution_loss",
    "inside_boxes",
    "mask_loss",
    "semantic_loss",
    "total_loss",
]
