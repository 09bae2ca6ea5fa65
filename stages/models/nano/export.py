"""A trained network as ONNX: norms folded, weights in half precision, checked against torch, with a card beside it.

Weights are stored as float16 and cast back to float32 in the graph, which runtimes do once while loading: half the
file, and the arithmetic stays whatever the runtime chooses.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stages.models.nano.blocks import ConvNorm
from stages.models.nano.calibrate import calibrate
from stages.models.nano.network import Nano, NanoConfig
from stages.models.world import STUFF, THINGS

INPUT_NAME = "images"
OUTPUT_NAMES = ("boxes", "scores", "coefficients", "prototypes", "semantic")
# Larger than the pictures it was trained on (512x288): small things gain more than large ones lose (AP50 +0.025).
INPUT_HEIGHT, INPUT_WIDTH = 352, 640
_OPSET = 18
# Fewer values than this are biases and anchors: nothing to save, and anchors must stay exact.
_SMALLEST_HALVED = 256


class Deployed(nn.Module):
    """The network as a user of it wants it: scores instead of logits, in the order of `OUTPUT_NAMES`."""

    def __init__(self, network: Nano, *, offsets: Sequence[float] | None = None) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offsets", torch.tensor(offsets or [0.0] * network.config.things))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        output = self.network(images)
        scores = (output.class_logits + self.offsets).sigmoid()
        return output.boxes, scores, output.coefficients, output.prototypes, output.semantic


def folded(network: Nano) -> Nano:
    """A copy in evaluation mode whose batch norms are part of the convolutions before them."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, ConvNorm):
            convolution, norm = cast(nn.Conv2d, module[0]), cast(nn.BatchNorm2d, module[1])
            module[0] = fuse_conv_bn_eval(convolution, norm)
            module[1] = nn.Identity()
    return network


def export(
    network: Nano,
    path: Path,
    *,
    height: int = INPUT_HEIGHT,
    width: int = INPUT_WIDTH,
    offsets: Sequence[float] | None = None,
) -> None:
    """Write the network as ONNX for pictures of one size, any number at once.

    Args:
        network: the trained network.
        path: the ONNX file.
        height: of a picture.
        width: of a picture.
        offsets: what to add to each class's logits; `calibrate` finds them.

    Raises:
        ValueError: when the written graph does not give what torch gives.
    """
    deployed = Deployed(folded(network).to(memory_format=torch.contiguous_format), offsets=offsets).eval()
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "network.onnx"
        with torch.no_grad():
            torch.onnx.export(
                deployed,
                (torch.zeros(2, 3, height, width),),
                str(written),
                input_names=[INPUT_NAME],
                output_names=list(OUTPUT_NAMES),
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                opset_version=_OPSET,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
        model = halved(without_notes(onnx.load(written)))
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(model.SerializeToString())
    compare(deployed, partial, height=height, width=width)
    partial.replace(path)


def without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what its maker noted of how and where it was made: call stacks with paths, names in torch."""
    graph = model.graph
    noted = (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for part in noted:
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its larger float32 weights stored as float16 and cast back where they are used."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED or values.ndim < 4:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT, name=f"{name}_cast"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def compare(deployed: nn.Module, path: Path, *, height: int, width: int, tolerance: float = 0.02) -> None:
    """Run the ONNX file with OpenVINO on a random picture and hold it against torch.

    Args:
        deployed: the torch module.
        path: the ONNX file.
        height: of the picture.
        width: of the picture.
        tolerance: largest difference allowed, as a share of an output's spread; half-precision weights take most of it.

    Raises:
        ValueError: naming the output that differs.
    """
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        expected = [output.numpy() for output in deployed(picture)]
    given = run_openvino(path, picture.numpy())
    for name, wanted in zip(OUTPUT_NAMES, expected, strict=True):
        found = given[name]
        if found.shape != wanted.shape:
            raise ValueError(f"output {name} of the exported graph has shape {found.shape}; torch gives {wanted.shape}")
        difference = float(np.abs(found - wanted).max() / max(float(wanted.std()), 1e-3))
        if not difference <= tolerance * 10 or not np.abs(found - wanted).mean() <= tolerance * max(wanted.std(), 1e-3):
            raise ValueError(
                f"output {name} of the exported graph differs from torch by {difference:.3g} of its spread"
            )


def run_openvino(path: Path, images: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
    """Outputs by name for pictures [N, 3, H, W], in float32 arithmetic."""
    import openvino

    core = openvino.Core()
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(str(path)), "CPU", options)
    results = compiled(images)
    return {name: np.asarray(results[compiled.output(name)], np.float32) for name in OUTPUT_NAMES}


def export_checkpoint(
    checkpoint: Path, output: Path, *, version: str, training: str = "", calibration_worlds: int = 0
) -> None:
    """Export the weights in `checkpoint`, calibrated on so many worlds, and write the card beside the ONNX file."""
    network = Nano(NanoConfig())
    network.load_state_dict(load_file(checkpoint))
    offsets = [0.0] * len(THINGS)
    if calibration_worlds:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / output.name
            export(network, raw)
            write_card(raw, version=version, training=training, offsets=offsets)
            offsets = calibrate(raw, worlds=calibration_worlds)
    export(network, output, offsets=offsets)
    write_card(output, version=version, training=training, offsets=offsets)


def add_figures(model: Path, figures: Mapping[str, Any]) -> None:
    """Put what was measured with the model on its card."""
    path = model.with_suffix(".json")
    card = json.loads(path.read_text(encoding="utf-8"))
    card["figures"] = dict(figures)
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def write_card(model: Path, *, version: str, training: str, offsets: Sequence[float]) -> None:
    """The card: what a user of the file must know, and what was measured with it."""
    card = {
        "name": model.stem,
        "version": version,
        "things": list(THINGS),
        "stuff": list(STUFF),
        "input_height": INPUT_HEIGHT,
        "input_width": INPUT_WIDTH,
        "parameters": sum(parameter.numel() for parameter in Nano(NanoConfig()).parameters()),
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "training": training,
        "class_offsets": dict(zip(THINGS, offsets, strict=True)),
        "figures": {},
    }
    model.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
