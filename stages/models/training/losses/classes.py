"""Losses of class scores, each element by element: logits and targets of one shape -> that shape.

Targets are soft: what the score should be, 0 for background.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

# A power of less has no finite slope.
_TINY = 1e-6


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Plain cross-entropy; thousands of background cells outweigh the few positive ones."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def focal(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Cross-entropy that counts less the surer and righter the score is.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection" (arXiv:1708.02002).

    Args:
        logits: of any shape.
        targets: of that shape, 0..1.
        alpha: weight of positives, 1 - alpha of negatives; below 0: 1 for both.
        gamma: the higher, the less what is easy counts.
    """
    scores = logits.sigmoid()
    right = scores * targets + (1 - scores) * (1 - targets)
    loss = binary_cross_entropy(logits, targets) * (1 - right).clamp(min=_TINY) ** gamma
    return loss if alpha < 0 else loss * (alpha * targets + (1 - alpha) * (1 - targets))


def quality_focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy weighted by the squared error of the score, made for soft targets.

    Source: Li et al. 2020, "Generalized Focal Loss" (arXiv:2006.04388). Unlike there, the weight takes no part in the
    gradient. Without the weight, background outweighs the few positives and the finest level stays silent for hundreds
    of steps.
    """
    error = (targets - logits.detach().sigmoid()).square()
    return binary_cross_entropy(logits, targets) * error


CLASS_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": binary_cross_entropy,
    "focal": focal,
    "quality-focal": quality_focal,
}


def class_loss(logits: Tensor, targets: Tensor, counted: Tensor, *, kind: str = "quality-focal") -> Tensor:
    """A class loss of one picture, summed over what counts.

    Args:
        logits: [A, C].
        targets: [A, C].
        counted: [A] or [A, C] bool, False where no score is right or wrong.
        kind: one of `CLASS_LOSSES`.
    """
    counted = counted if counted.ndim == 2 else counted[:, None]
    return (CLASS_LOSSES[kind](logits, targets) * counted).sum()
