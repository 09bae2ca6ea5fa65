"""A foreign ONNX detector as the vision worker builds it: our errors, or a stage that ran on a grey picture."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pipeline.config import DetectorConfig
from pipeline.errors import EveryframeError, ModelError
from stages.detect.build import build_detector
from stages.detect.layouts import recognise
from stages.models.backend import open_network
from tests.fuzz.scratch import scratch
from tests.fuzz.targets import onnx

SMALL_PICTURE = 64 * 64  # a network may well be large; that is no finding
FEW_CLASSES = 100
SIZE = (64, 64)  # where a graph leaves it open

# OpenVINO keeps what it compiled, and would keep every mutation of it.
os.environ["XDG_CACHE_HOME"] = "/proc/nowhere"


def one_input(data: bytes) -> None:
    """The bytes as a file; what is recognised and small is built."""
    path = scratch("detector.onnx")
    path.write_bytes(data)
    try:
        signature = open_network(path).signature
        size = SIZE if signature.is_open else None
        if size is not None:
            signature = open_network(path, size=size).signature
        _, layout = recognise(signature, path=path)
    except ModelError:
        return
    count = layout.classes(signature) or 0
    height, width = signature.input_size
    if count > FEW_CLASSES or height * width > SMALL_PICTURE:
        return
    names = [f"class {i}" for i in range(count)]
    try:
        build_detector(
            DetectorConfig(model=str(path), precision="f32", threads=1, class_names=names, picture_size=size)
        )
    except EveryframeError:
        return


def seeds() -> Iterator[bytes]:
    """A graph of every layout."""
    yield from onnx.seeds()
