"""Which layout a semantic network has, told from the shapes of its outputs alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models.backend import Normalisation, Signature
from stages.models.preprocess import InputSpec

_HALF = (127.5, 127.5, 127.5)
_MINUS_ONE_TO_ONE = Normalisation(mean=_HALF, deviation=_HALF)
_IMAGENET = Normalisation(mean=(123.675, 116.28, 103.53), deviation=(58.395, 57.12, 57.375))
_ZERO_TO_ONE = Normalisation(deviation=(255.0, 255.0, 255.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A family of semantic networks.

    Attributes:
        shape: its outputs in words, for the message that lists the known layouts.
        classes: number of classes of a graph, None where the graph is not of this layout.
        picture: the picture it wants.
        planar: indices of outputs that come as [1, h, w, S].
        logits: one picture's outputs, each [1, S, h, w] -> [S, h, w], an array of its own.
    """

    shape: str
    classes: Callable[[Signature], int | None]
    picture: Callable[[Signature], InputSpec]
    planar: Callable[[Signature], Collection[int]]
    logits: Callable[[Sequence[Float32]], Float32]


def _semantic_classes(signature: Signature) -> int | None:
    shapes = [port.shape for port in signature.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or not signature.input_size[0]:
        return None
    height, width = signature.input_size
    _, *rest = shapes[0]
    count, rows, columns = (rest[2], rest[0], rest[1]) if signature.channels_last else rest
    # A map has the picture's proportions, or nearly: rounding at a stride of 32 can differ by one row.
    alike = abs(rows * width - columns * height) <= max(height, width)
    return count if count >= 2 and min(rows, columns) >= 8 and alike else None


def _semantic_picture(signature: Signature) -> InputSpec:
    """Networks that take [N, H, W, 3] come from TensorFlow and want -1..1; the others want ImageNet's mean."""
    height, width = signature.input_size
    normalise = _MINUS_ONE_TO_ONE if signature.channels_last else _IMAGENET
    return InputSpec(width=width, height=height, colours="rgb", fit="stretch", normalise=normalise)


def _twinlite_classes(signature: Signature) -> int | None:
    height, width = signature.input_size
    shapes = [port.shape[1:] for port in signature.outputs]
    return 3 if height and shapes == [(2, height, width)] * 2 else None


def _twinlite_picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    return InputSpec(width=width, height=height, colours="rgb", fit="stretch", normalise=_ZERO_TO_ONE)


def twinlite_logits(outputs: Sequence[Float32]) -> Float32:
    """Background, drivable area and lane line [3, h, w] from two maps (no, yes): a lane line lies on the road and wins.

    Background is 0, so that the best of the three is what the two maps say each for itself.
    """
    drivable, lane = (maps[0, 1] - maps[0, 0] for maps in outputs)
    lane = np.where(lane > 0, lane + np.maximum(drivable, 0), lane)
    return np.stack([np.zeros_like(drivable), drivable, lane])


LAYOUTS: dict[str, Layout] = {
    "twinlite": Layout(
        shape="two maps 1 x 2 x H x W: drivable area, lane lines",
        classes=_twinlite_classes,
        picture=_twinlite_picture,
        planar=lambda _: (),
        logits=twinlite_logits,
    ),
    "semantic": Layout(
        shape="1 x S classes x h x w, or 1 x h x w x S where the picture goes in as 1 x H x W x 3",
        classes=_semantic_classes,
        picture=_semantic_picture,
        planar=lambda signature: (0,) if signature.channels_last else (),
        logits=lambda outputs: outputs[0][0].copy(),
    ),
}


def recognise(signature: Signature, *, path: Path, layout: str = "auto") -> Layout:
    """The layout of a graph; `layout` other than `auto` names it.

    Raises:
        ModelError: when no layout fits, or the named one does not; lists what the graph has and what is known.
    """
    wanted = LAYOUTS if layout == "auto" else {layout: LAYOUTS[layout]} if layout in LAYOUTS else {}
    for candidate in wanted.values():
        if candidate.classes(signature) is not None:
            return candidate
    known = "; ".join(f"{name}: {each.shape}" for name, each in LAYOUTS.items())
    problem = "is of no known layout" if layout == "auto" else f"does not have the layout {layout!r}"
    raise ModelError(f"{path}: the model {problem}. It has {signature}. Known segmenter layouts: {known}")
