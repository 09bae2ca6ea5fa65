"""A sample as the tensors that the losses take."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from stages.models.labelled.sample import FIRST_OBJECT, Sample
from stages.models.labelled.views import is_ignored, object_masks
from stages.models.nano.network import MASK_STRIDE
from stages.models.training.losses import VOID, Target
from stages.models.training.teacher import Answer


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """N pictures of one size with their truth."""

    images: Tensor  # [N, 3, H, W] uint8 RGB, channels last in memory
    targets: list[Target]
    answers: list[Answer | None] = field(default_factory=list)  # of a teacher; empty without one


def target_of(sample: Sample, *, things: int) -> Target:
    """The truth at the masks' stride, ignored objects set apart.

    Ignored objects teach the head nothing, neither to find nor to miss them; in the semantic map they keep their class.
    """
    taught = ~is_ignored(sample)
    middle = MASK_STRIDE // 2
    cells = sample.regions[middle::MASK_STRIDE, middle::MASK_STRIDE]
    masks = object_masks(cells)
    renumber = np.zeros(len(taught) + 1, np.uint8)
    renumber[1:][taught] = np.arange(1, int(taught.sum()) + 1)
    return Target(
        boxes=torch.from_numpy(sample.boxes[taught]),
        labels=torch.from_numpy(sample.labels[taught]),
        ignored=torch.from_numpy(sample.boxes[~taught]),
        instances=torch.from_numpy(renumber[masks]),
        semantic=torch.from_numpy(_class_table(sample, things)[cells]),
        known=None if sample.known is None or sample.known.all() else torch.from_numpy(sample.known),
    )


def _class_table(sample: Sample, things: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Region value -> class index, 255 void."""
    table = np.full(256, VOID, np.uint8)
    table[1:FIRST_OBJECT] = np.arange(things, things + FIRST_OBJECT - 1)
    table[FIRST_OBJECT : FIRST_OBJECT + len(sample.labels)] = sample.labels
    return table


def collate(samples: list[Sample], *, things: int) -> TrainingBatch:
    """Samples of one size as a batch."""
    pictures = torch.from_numpy(np.stack([sample.image for sample in samples]))  # [N, H, W, 3]
    return TrainingBatch(pictures.permute(0, 3, 1, 2), [target_of(sample, things=things) for sample in samples])
