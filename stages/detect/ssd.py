"""SSD with its boxes decoded in the graph (Liu et al. 2016, arXiv:1512.02325), as MobileNet-SSD is exported.

Boxes [1, A, 4] are `xyxy`, in pixels or in pictures; scores [1, A, 1 + C] are after softmax, background first.
Pictures are RGB in -1..1, stretched.
"""

from __future__ import annotations

import numpy as np

from pipeline.messages import Float32
from stages.detect.layout import Candidates, Decode, Layout, best_class
from stages.models.backend import Normalisation, Signature
from stages.models.network_stage import Outputs
from stages.models.preprocess import InputSpec

# Boxes in pictures reach a little past 1, boxes in pixels far: 2 lies between on any picture.
_LARGEST_IN_PICTURES = 2.0


def decode(boxes: Float32, scores: Float32, threshold: float) -> Candidates:
    """Best class but background of each box of [A, 4] and [A, 1 + C] whose score reaches the threshold."""
    rows, labels, best = best_class(scores[:, 1:], threshold)
    return Candidates(boxes[rows], best, labels)


def _outputs(signature: Signature) -> tuple[int, int] | None:
    """Indices of boxes and scores."""
    shapes = [port.shape for port in signature.outputs]
    if not signature.input_size[0] or len(shapes) != 2 or any(len(shape) != 3 for shape in shapes):
        return None
    boxes = next((i for i, shape in enumerate(shapes) if shape[2] == 4), None)
    if boxes is None or shapes[0][1] != shapes[1][1] or shapes[1 - boxes][2] < 2:
        return None
    return boxes, 1 - boxes


def _classes(signature: Signature) -> int | None:
    found = _outputs(signature)
    return None if found is None else signature.outputs[found[1]].shape[2] - 1


def _picture(signature: Signature) -> InputSpec:
    height, width = signature.input_size
    half = (127.5, 127.5, 127.5)
    normalise = Normalisation(mean=half, deviation=half)
    return InputSpec(width=width, height=height, colours="rgb", fit="stretch", normalise=normalise)


def _decoder(signature: Signature, grey: Outputs) -> Decode:
    found = _outputs(signature)
    assert found is not None
    boxes, scores = found
    height, width = signature.input_size
    in_pictures = bool(np.abs(grey[boxes]).max() <= _LARGEST_IN_PICTURES)
    scale = np.array([width, height, width, height] if in_pictures else [1, 1, 1, 1], dtype=np.float32)

    def run(outputs: Outputs, threshold: float) -> Candidates:
        candidates = decode(outputs[boxes][0], outputs[scores][0], threshold)
        return candidates._replace(boxes=candidates.boxes * scale)

    return run


LAYOUT = Layout(
    shape="1 x A x 4 box and 1 x A x (1 background + C classes)",
    classes=_classes,
    picture=_picture,
    decoder=_decoder,
)
