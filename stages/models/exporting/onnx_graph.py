"""A network as an ONNX graph, its weights in half precision.

Weights are stored as float16 and cast back to float32 in the graph, which runtimes do once while loading: half the
file, and the arithmetic stays whatever the runtime chooses.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import ModelError
from stages.models.exporting.deployed import INPUT_NAME, OUTPUT_NAMES, Deployed, open_dimensions
from stages.models.quiet import quietly

_OPSET = 18
# Fewer values than this are biases and anchors: nothing to save, and anchors must stay exact.
_SMALLEST_HALVED = 256
_LARGEST_HALF = float(np.finfo(np.float16).max)


def onnx_model(
    deployed: Deployed, *, width: int, height: int, half: bool = True, any_size: bool = False
) -> onnx.ModelProto:
    """The network for pictures of one size, any number at once.

    Args:
        deployed: the network, its norms folded.
        width: of a picture.
        height: of a picture.
        half: store the larger weights as float16.
        any_size: leave width and height open, for multiples of the coarsest stride.

    Raises:
        ModelError: when a weight is beyond half precision.
    """
    with torch.no_grad(), quietly("torch.onnx"):  # of its own steps, which say nothing of the network
        program = torch.onnx.export(
            deployed,
            (torch.zeros(2, 3, height, width),),
            input_names=[INPUT_NAME],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes={"images": open_dimensions(any_size=any_size)},
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # without a file to write to, there is one
    model = without_notes(program.model_proto)
    return halved(model) if half else model


def without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what its maker noted of how and where it was made: call stacks with paths, names in torch."""
    graph = model.graph
    noted = (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for part in noted:
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its larger float32 weights stored as float16 and cast back where they are used.

    Raises:
        ModelError: when a weight is beyond what float16 can hold.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED or values.ndim < 4:
            continue
        name = tensor.name
        largest = float(np.abs(values).max())
        if largest > _LARGEST_HALF:
            raise ModelError(
                f"weight {name} goes up to {largest:.3g}, and half precision to {_LARGEST_HALF:g}; export in float32"
            )
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT, name=f"{name}_cast"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model
