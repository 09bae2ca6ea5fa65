"""Losses of the semantic map: logits [N, C, h, w], targets [N, h, w] uint8 with 255 for void, weights [C] or None.

Each gives a scalar, 0 where nothing is labelled. C includes things: the map has them too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.models.training.losses.lovasz import jaccard_extension
from stages.models.training.losses.target import VOID

StuffLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_FOCAL_POWER = 2.0
_TINY = 1e-6
# A pixel is hard while its class has less than this probability; at least this share of pixels counts as hard.
_HARD_BELOW = 0.7
_LEAST_HARD = 1 / 16
_DICE_SMOOTH = 1.0


def cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Weighted cross-entropy, summed, over the number of labelled pixels."""
    return _entropies(logits, targets, class_weights).sum() / _labelled(targets)


def hard_cross_entropy(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean weighted cross-entropy over the hardest pixels of the batch: online hard example mining.

    Source: Shrivastava et al. 2016 (arXiv:1604.03540), by a threshold of probability and a least share of the pixels as
    networks of real-time segmentation have it (Yu et al. 2018, "BiSeNet", 1808.00897).
    """
    entropies = _entropies(logits, targets, None).flatten()
    hard = int((entropies.detach() > -math.log(_HARD_BELOW)).sum())
    least = math.ceil(_LEAST_HARD * int((targets != VOID).sum()))
    hardest = entropies.detach().topk(max(hard, least)).indices
    if class_weights is not None:
        entropies = _entropies(logits, targets, class_weights).flatten()
    return entropies[hardest].sum() / max(len(hardest), 1)


def focal(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Weighted cross-entropy times ``(1 - probability) ** 2``, over the number of labelled pixels.

    Source: Lin et al. 2017 (arXiv:1708.02002), of one class among many.
    """
    wrong = 1 - torch.exp(-_entropies(logits, targets, None))
    focused = _entropies(logits, targets, class_weights) * wrong.clamp(min=_TINY) ** _FOCAL_POWER
    return focused.sum() / _labelled(targets)


def dice(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """1 - Dice coefficient over the batch's labelled pixels, (weighted) mean over the classes that are there.

    Source: Milletari et al. 2016 (arXiv:1606.04797), of several classes as Sudre et al. 2017 (1707.03237).
    """
    labelled = targets != VOID
    classes = targets.where(labelled, 0).long()
    probabilities = logits.softmax(1) * labelled[:, None]
    own = probabilities.gather(1, classes[:, None]).flatten()  # of each pixel's true class
    sums = probabilities.sum((0, 2, 3))  # [C]
    overlap = torch.zeros_like(sums).index_add(0, classes.flatten(), own)
    counts = torch.bincount(classes[labelled], minlength=len(sums))
    loss = 1 - (2 * overlap + _DICE_SMOOTH) / (sums + counts + _DICE_SMOOTH)
    return _mean_of_present(loss, counts > 0, class_weights)


def lovasz_softmax(logits: Tensor, targets: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """A continuous 1 - IoU over the batch's labelled pixels, (weighted) mean over the classes that are there.

    Source: Berman et al. 2018 (arXiv:1705.08790). It sorts all pixels for each class that is there: on a CPU some
    fifteen times the cross-entropy.
    """
    labelled = targets != VOID
    probabilities = logits.softmax(1).movedim(1, 0)[:, labelled]  # [C, M]
    truth = F.one_hot(targets[labelled].long(), logits.shape[1]).T.to(logits.dtype)
    present = truth.any(1)
    loss = jaccard_extension((truth[present] - probabilities[present]).abs(), truth[present])
    everywhere = loss.new_zeros(len(present)).masked_scatter(present, loss)
    return _mean_of_present(everywhere, present, class_weights)


STUFF_LOSSES: dict[str, StuffLoss] = {
    "cross-entropy": cross_entropy,
    "ohem": hard_cross_entropy,
    "focal": focal,
    "dice": dice,
    "lovasz": lovasz_softmax,
}
_DEFAULT = {"cross-entropy": 1.0}


def semantic_loss(
    logits: Tensor,
    targets: Tensor,
    class_weights: Tensor | None = None,
    *,
    kinds: Mapping[str, float] | None = None,
) -> Tensor:
    """Weighted sum of losses of the semantic map: a scalar.

    Args:
        logits: [N, C, h, w].
        targets: [N, h, w] uint8, 255 for void.
        class_weights: [C], or None for equal ones.
        kinds: names of `STUFF_LOSSES` and the weight of each; None: cross-entropy alone.
    """
    terms = [w * STUFF_LOSSES[kind](logits, targets, class_weights) for kind, w in (kinds or _DEFAULT).items()]
    return torch.stack(terms).sum()


def _entropies(logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """[N, h, w]; 0 for void."""
    return F.cross_entropy(logits, targets.long(), class_weights, ignore_index=VOID, reduction="none")


def _labelled(targets: Tensor) -> Tensor:
    return (targets != VOID).sum().clamp(min=1)


def _mean_of_present(loss: Tensor, present: Tensor, class_weights: Tensor | None) -> Tensor:
    weights = present.to(loss.dtype) if class_weights is None else class_weights * present
    return (loss * weights).sum() / weights.sum().clamp(min=_TINY)
