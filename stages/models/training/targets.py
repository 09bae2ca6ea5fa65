"""A sample as the tensors that the losses take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from stages.models.labelled.sample import FIRST_OBJECT, PackedSample, Sample, unpack
from stages.models.labelled.views import is_ignored, object_masks
from stages.models.nano.network import MASK_STRIDE
from stages.models.training.augment import AugmentConfig, augment
from stages.models.training.losses import VOID, Target
from stages.models.world import THINGS


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """N pictures of one size with their truth."""

    images: Tensor  # [N, 3, H, W] uint8 RGB, channels last in memory
    targets: list[Target]


def target_of(sample: Sample) -> Target:
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
        semantic=torch.from_numpy(_class_table(sample)[cells]),
    )


def _class_table(sample: Sample) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Region value -> class index, 255 void."""
    table = np.full(256, VOID, np.uint8)
    table[1:FIRST_OBJECT] = np.arange(len(THINGS), len(THINGS) + FIRST_OBJECT - 1)
    table[FIRST_OBJECT : FIRST_OBJECT + len(sample.labels)] = sample.labels
    return table


def collate(samples: list[Sample]) -> TrainingBatch:
    """Samples of one size as a batch."""
    pictures = torch.from_numpy(np.stack([sample.image for sample in samples]))  # [N, H, W, 3]
    return TrainingBatch(pictures.permute(0, 3, 1, 2), [target_of(sample) for sample in samples])


class TrainingStream(IterableDataset[TrainingBatch]):
    """Augmented batches without end, samples shuffled anew each time round.

    Args:
        samples: the packed cache.
        batch: pictures a batch.
        width: of the batch's pictures, pixels.
        height: of the batch's pictures, pixels.
        seed: same seed, same batches.
        config: how to augment.
    """

    def __init__(
        self,
        samples: list[PackedSample],
        *,
        batch: int,
        width: int,
        height: int,
        seed: int,
        config: AugmentConfig | None = None,
    ) -> None:
        self.samples, self.batch, self.width, self.height = samples, batch, width, height
        self.seed, self.config = seed, config or AugmentConfig()

    def __iter__(self) -> Iterator[TrainingBatch]:
        rng = np.random.default_rng(self.seed)
        order = self._order(rng)
        while True:
            yield collate(
                [
                    augment(
                        unpack(self.samples[next(order)]), rng, width=self.width, height=self.height, config=self.config
                    )
                    for _ in range(self.batch)
                ]
            )

    def _order(self, rng: np.random.Generator) -> Iterator[int]:
        while True:
            yield from (int(index) for index in rng.permutation(len(self.samples)))
