"""A foreign ONNX file as far as its layout: `ModelError`, or a detector or segmenter that was recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pipeline.errors import ModelError
from stages.detect.layouts import recognise as recognise_detector
from stages.models.backend import Signature, open_network
from stages.segment.layouts import recognise as recognise_segmenter
from tests.fuzz.scratch import scratch


def one_input(data: bytes) -> None:
    """The bytes as a file."""
    path = scratch("model.onnx")
    path.write_bytes(data)
    try:
        signature = open_network(path).signature
    except ModelError:
        return
    str(signature)
    classes_of(lambda: recognise_detector(signature, path=path)[1], signature)
    classes_of(lambda: recognise_segmenter(signature, path=path), signature)


def classes_of(recognise: Callable[[], object], signature: Signature) -> int:
    """How many classes the layout that fits says there are; 0 where none fits."""
    try:
        layout = recognise()
    except ModelError:
        return 0
    count = layout.classes(signature)  # type: ignore[attr-defined]
    layout.picture(signature)  # type: ignore[attr-defined]
    assert isinstance(count, int)
    assert count > 0
    return count


def seeds() -> Iterator[bytes]:
    """A graph of every detector layout and of both kinds of segmenter, for pictures of 32x32; one foreign to all."""
    from tests import networks

    path = scratch("seed.onnx")
    for outputs in OUTPUTS.values():
        yield networks.constant(path, picture=(1, 3, 32, 32), outputs=[_zeros(shape) for shape in outputs]).read_bytes()
    yield networks.channel_means(path).read_bytes()
    yield networks.channel_means(path, picture=("n", 8, 8, 3), channels_last=True).read_bytes()


def _zeros(shape: Sequence[int]) -> np.ndarray:
    return np.zeros((1, *shape), dtype=np.float32)


# Cells of strides 8, 16 and 32 (and 64) of a picture of 32x32: 16, 4, 1 (and 1).
OUTPUTS: dict[str, list[tuple[int, ...]]] = {
    "yolox": [(21, 6)],
    "yolo": [(5, 21)],
    "yolo with objectness": [(63, 6)],
    "nanodet": [(n, c) for c in (1, 32) for n in (16, 4, 1)],
    "picodet": [(n, c) for c in (1, 32) for n in (16, 4, 1, 1)],
    "fastestdet": [(6, 2, 2)],
    "ssd": [(9, 2), (9, 4)],
    "nano": [(2, 8, 8), (21, 1), (3, 8, 8), (21, 2), (21, 4)],
    "semantic": [(3, 8, 8)],
    "twinlite": [(2, 32, 32), (2, 32, 32)],
}
