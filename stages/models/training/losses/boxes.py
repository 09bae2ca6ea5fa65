"""Losses of boxes: 1 less an overlap, and the cross-entropy of distributed distances."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from stages.models.training.boxes import complete_iou, distance_iou, generalised_iou, paired_iou

# From the last bin itself no weight would fall on a bin after it.
_BELOW_LAST = 1e-3


def iou_loss(predicted: Tensor, boxes: Tensor) -> Tensor:
    """1 - IoU (Yu et al. 2016, arXiv:1608.01471): boxes apart teach nothing. [P, 4], [P, 4] -> [P]."""
    return 1 - paired_iou(predicted, boxes)


def giou_loss(predicted: Tensor, boxes: Tensor) -> Tensor:
    """1 - generalised IoU (Rezatofighi et al. 2019, arXiv:1902.09630): [P, 4], [P, 4] -> [P] in 0..2."""
    return 1 - generalised_iou(predicted, boxes)


def diou_loss(predicted: Tensor, boxes: Tensor) -> Tensor:
    """1 - distance IoU (Zheng et al. 2020, arXiv:1911.08287): [P, 4], [P, 4] -> [P] in 0..2."""
    return 1 - distance_iou(predicted, boxes)


def ciou_loss(predicted: Tensor, boxes: Tensor) -> Tensor:
    """1 - complete IoU (Zheng et al. 2020, arXiv:1911.08287): [P, 4], [P, 4] -> [P] in 0..3."""
    return 1 - complete_iou(predicted, boxes)


BOX_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": iou_loss,
    "giou": giou_loss,
    "diou": diou_loss,
    "ciou": ciou_loss,
}


def box_loss(predicted: Tensor, boxes: Tensor, weights: Tensor, *, kind: str = "ciou") -> Tensor:
    """Weighted sum of a box loss: [P, 4], [P, 4], [P] -> scalar."""
    return (BOX_LOSSES[kind](predicted, boxes) * weights).sum()


def distribution_loss(logits: Tensor, bins: Tensor) -> Tensor:
    """Cross-entropy of a distribution over whole numbers with the two beside a value, by how near they are.

    Source: Li et al. 2020, "Generalized Focal Loss" (arXiv:2006.04388), distribution focal loss.

    Args:
        logits: [..., n + 1] of the bins 0..n.
        bins: [...] values in bins, not whole; clamped to 0..n.

    Returns:
        [...].
    """
    last = logits.shape[-1] - 1
    bins = bins.clamp(0, last - _BELOW_LAST)
    below = bins.long()
    share = bins - below  # of the bin above
    entropies = -F.log_softmax(logits, -1)
    left, right = (entropies.gather(-1, index[..., None])[..., 0] for index in (below, below + 1))
    return left * (1 - share) + right * share
