"""Panoptic quality (Kirillov et al. 2019, arXiv:1801.00868), by `torchmetrics`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SegmentQuality:
    """Gathers frames, then gives PQ, SQ and RQ.

    Args:
        names: class names; a label is an index into them, things first.
        things: how many of them are things.
    """

    def __init__(self, names: Sequence[str], *, things: int) -> None:
        from torchmetrics.detection import PanopticQuality

        self.names, self.things = tuple(names), things
        self._metric = PanopticQuality(
            things=set(range(things)),
            stuffs=set(range(things, len(names))),
            allow_unknown_preds_category=True,
            return_sq_and_rq=True,
            return_per_class=True,
        )

    def add(self, found: NDArray[np.int64], truth: NDArray[np.int64]) -> None:
        """One frame: label and instance of each pixel [H, W, 2]; label -1 is void."""
        import torch

        self._metric.update(torch.from_numpy(found)[None], torch.from_numpy(truth)[None])

    def by_class(self) -> dict[str, float]:
        """PQ of each class."""
        return {name: float(pq) for name, pq in zip(self.names, self._values()[:, 0], strict=True)}

    def quality(self) -> dict[str, dict[str, float]]:
        """PQ, SQ and RQ as means over all classes, over things and over stuff."""
        values = self._values()
        groups = {"all": values, "things": values[: self.things], "stuff": values[self.things :]}
        return {
            name: dict(zip(("pq", "sq", "rq"), (float(v) for v in rows.mean(0)), strict=True))
            for name, rows in groups.items()
        }

    def _values(self) -> NDArray[np.float64]:
        """[classes, 3] in the order of the names."""
        return self._metric.compute().numpy().astype(np.float64).reshape(len(self.names), 3)
