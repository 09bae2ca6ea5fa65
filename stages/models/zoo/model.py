"""What the zoo hands out: a network with all that is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.messages import Float32, Int32
from stages.models.preprocess import InputSpec

Select = Callable[[Float32, Float32, Int32], Any]  # boxes [N, 4], scores [N], labels [N] -> rows to keep

# What a class is called that has a place among a network's scores and no meaning.
NAMELESS = ("__background__", "background", "N/A", "no-object", "no_object")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TorchModel:
    """A network.

    Attributes:
        name: for results and messages.
        version: SHA-256 of its weights.
        module: takes [N, 3, H, W], normalised as `picture` says. A detector gives ``boxes`` [N, K, 4] xyxy in pixels of
            its picture, ``scores`` and ``labels`` [N, K], not suppressed, and ``masks`` [N, K, M * M] where it has
            masks of boxes; a semantic network ``logits`` [N, S, h, w]; a panoptic one ``masks`` [N, Q, h, w] and
            ``classes`` [N, Q, C + 1], the last for no object.
        picture: the picture it wants.
        names: its classes, in the order of its labels or channels.
        static: whether the shapes inside follow from the input's alone.
        overlaps: whether boxes that find an object twice are to be expected, and suppressed.
        usual_precision: arithmetic that suits it on a GPU.
        gives: what of the above.
    """

    name: str
    version: str
    module: nn.Module
    picture: InputSpec
    names: tuple[str, ...]
    static: bool = True
    overlaps: bool = True
    usual_precision: str = "fp16"
    gives: Literal["boxes", "box masks", "panoptic", "semantic"] = "boxes"


class Steady(nn.Module):
    """A tensor that follows its module to a device, and stays float32 when the module does not."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = values.float()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Steady:
        self.values = self.values.to(fn(self.values).device)
        return self


def named_columns(names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Indices of the classes that have a meaning, and their names."""
    columns = tuple(i for i, name in enumerate(names) if name not in NAMELESS)
    return columns, tuple(names[i] for i in columns)


def best_candidates(scores: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `most` best of scores [N, A, C], a box as often as it has classes: rows, labels [N, K], scores [N, K]."""
    count = scores.shape[2]
    flat = scores.float().flatten(1)
    best, index = flat.topk(min(most, flat.shape[1]), dim=1)
    return torch.div(index, count, rounding_mode="floor"), index % count, best


def rows_of(values: Tensor, rows: Tensor) -> Tensor:
    """Of values [N, A, D], those of rows [N, K]: [N, K, D] float32."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[2])).float()
