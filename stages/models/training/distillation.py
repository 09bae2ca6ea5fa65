"""Learning from a teacher's answer at every cell: two terms, each a pure function.

Scores: the quality focal loss with the teacher's scores for targets, so that cells count by how far they are off.
Boxes: complete IoU with the teacher's, where it sees something. Sources as in `teacher`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stages.models.training.losses.boxes import box_loss
from stages.models.training.losses.classes import quality_focal
from stages.models.training.teacher import Answer

# Below this a teacher sees nothing whose box could be learnt.
_SEEN = 0.15


def distillation_loss(logits: Tensor, boxes: Tensor, answers: list[Answer | None]) -> dict[str, Tensor]:
    """The mean terms over those pictures of a batch about which the teacher was asked.

    Args:
        logits: [N, A, things].
        boxes: [N, A, 4] xyxy, pixels.
        answers: N of them.
    """
    asked = [index for index, answer in enumerate(answers) if answer is not None]
    if not asked:
        return {"taught_classes": logits.sum() * 0, "taught_boxes": boxes.sum() * 0}
    scores = torch.stack([answer.scores for answer in answers if answer is not None]).to(logits.device)
    theirs = torch.stack([answer.boxes for answer in answers if answer is not None]).to(boxes.device)
    return {
        "taught_classes": taught_scores(logits[asked], scores),
        "taught_boxes": taught_boxes(boxes[asked], theirs, scores.nan_to_num(0.0).amax(-1)),
    }


def taught_scores(logits: Tensor, scores: Tensor) -> Tensor:
    """Quality focal loss against soft scores, by their sum: [..., C] twice -> scalar; nan scores do not count."""
    known = ~scores.isnan()
    wanted = scores.nan_to_num(0.0)
    return (quality_focal(logits, wanted) * known).sum() / wanted.sum().clamp(min=1.0)


def taught_boxes(boxes: Tensor, theirs: Tensor, scores: Tensor) -> Tensor:
    """Mean 1 - CIoU where the teacher sees something, by its score: [..., 4] twice, [...] -> scalar."""
    seen = scores > _SEEN
    weights = scores[seen]
    if not len(weights):
        return boxes.sum() * 0
    return box_loss(boxes[seen], theirs[seen], weights) / weights.sum()
