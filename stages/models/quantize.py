"""INT8 after training: weights and activations in 8 bits, with scales measured on a few hundred pictures (``nncf``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.messages import Float32, UInt8
from stages.models.backend import Normalisation, check_file, unreadable
from stages.models.focus import merge_focus
from stages.models.openvino_runtime import ov, save_ir, without_telemetry
from stages.models.quiet import quietly

_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_ARITHMETIC = ("Add", "Subtract", "Multiply", "Divide", "ReduceSum", "ReduceMean")
_FIRST = 2
_GPU_LOGGER = "torch.utils.cpp_extension"  # through which nncf warns on machines without a GPU


def quantize(
    path: Path,
    pictures: Iterable[UInt8],
    *,
    output: Path,
    normalise: Normalisation | None = None,
    first_in_float: bool = False,
    last_in_float: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Path:
    """An INT8 version of a network as OpenVINO's .xml, with its .bin beside it; used like the original.

    Convolutions within groups stay in float: on CPUs they are no quicker in 8 bits (YOLOX-nano: 1.8 ms against 1.4),
    and cost accuracy. So does arithmetic after the last convolutions: a picture 544 pixels wide is cut into 256 steps
    there, and boxes with it.

    Args:
        path: ONNX file with one input, [1, 3, H, W].
        pictures: uint8 [1, H, W, 3] each, as the network is to see them; 100 to 300, and none that accuracy will be
            measured on.
        output: where the .xml goes.
        normalise: what the network wants done to the pictures' levels.
        first_in_float: leave the first two convolutions in float too, which see the most pixels.
        last_in_float: likewise the last convolution before each output.
        progress: told the number of pictures measured on so far.

    Raises:
        ModelError: when the file is no network, `nncf` is not installed, or there are no pictures.
    """
    check_file(path)
    given = [_as_input(picture, normalise or Normalisation()) for picture in pictures]
    if not given:
        raise ModelError(f"{path}: cannot be quantized without pictures to measure its activations on")
    nncf = load_nncf()
    try:
        model = ov.convert_model(
            path
        )  # joins biases and activations to their convolutions, which reading alone does not
    except RuntimeError as exc:
        raise unreadable(path, exc) from exc
    merge_focus(model)
    floats = {node.get_friendly_name() for node in model.get_ops() if node.get_type_name() == "GroupConvolution"}
    floats |= _decoding(model)
    if first_in_float:
        floats |= set(_convolutions(model)[:_FIRST])
    if last_in_float:
        floats |= last_convolutions(model)
    with quietly(_GPU_LOGGER):
        quantized = nncf.quantize(
            model,
            nncf.Dataset(_Counted(given, progress)),
            subset_size=len(given),
            preset=nncf.QuantizationPreset.MIXED,  # SiLU's outputs are not symmetric
            ignored_scope=nncf.IgnoredScope(names=sorted(floats)),
        )
    save_ir(quantized, output)
    return output


def load_nncf() -> Any:
    """The library. Raises `ModelError` where it is not installed."""
    try:
        with without_telemetry(), quietly(_GPU_LOGGER):
            import nncf
    except ImportError as exc:
        raise ModelError("INT8 needs nncf, which is not installed; pip install 'everyframe[int8]'") from exc
    nncf.set_log_level(logging.ERROR)
    return nncf


def _convolutions(model: ov.Model) -> list[str]:
    """Names of all convolutions, in the order they are computed."""
    ordered = model.get_ordered_ops()
    return [node.get_friendly_name() for node in ordered if node.get_type_name() in _CONVOLUTIONS]


def last_convolutions(model: ov.Model) -> set[str]:
    """Names of the convolutions between which and an output no other lies: those that write the outputs."""
    return {node.get_friendly_name() for node in _ends(model) if node.get_type_name() in _CONVOLUTIONS}


def _decoding(model: ov.Model) -> set[str]:
    """Names of the sums and products between the last convolutions, with their biases, and the outputs."""
    return {
        node.get_friendly_name()
        for node in _ends(model)
        if node.get_type_name() in _ARITHMETIC
        and not any(value.get_node().get_type_name() in _CONVOLUTIONS for value in node.input_values())
    }


def _ends(model: ov.Model) -> list[Any]:
    """What lies between the outputs and the convolutions before them, these included; not what shapes are told by."""
    found: dict[str, Any] = {}
    waiting = [output.get_node() for output in model.outputs]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in found:
            continue
        found[node.get_friendly_name()] = node
        if node.get_type_name() not in (*_CONVOLUTIONS, "ShapeOf"):
            waiting.extend(value.get_node() for value in node.input_values())
    return list(found.values())


class _Counted:
    """Pictures that tell how far they have been read, the first time through."""

    def __init__(self, pictures: list[Float32], progress: Callable[[int], None]) -> None:
        self._pictures, self._progress, self._told = pictures, progress, 0

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[Float32]:
        for number, picture in enumerate(self._pictures, 1):
            yield picture
            if number > self._told:
                self._told = number
                self._progress(number)


def _as_input(picture: UInt8, normalise: Normalisation) -> Float32:
    """[1, H, W, 3] levels as the graph's [1, 3, H, W]."""
    levels = (picture - np.array(normalise.mean, np.float32)) / np.array(normalise.deviation, np.float32)
    return np.ascontiguousarray(levels.transpose(0, 3, 1, 2), dtype=np.float32)
