"""Running an exported file on the CPU as everyframe would, in float32, to hold it against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models.exporting.deployed import OUTPUT_NAMES
from stages.models.openvino_runtime import core


class OpenVinoFile:
    """An ONNX file or an IR, read from disk, for any number of pictures at once.

    Raises:
        ModelError: when the file cannot be read, or lacks an output.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._compiled = core().compile_model(
                core().read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
            )
        except (RuntimeError, ValueError) as exc:
            raise ModelError(f"{path.name}: OpenVINO cannot read what was written: {exc}") from exc
        there = {name for output in self._compiled.outputs for name in output.get_names()}
        if missing := [name for name in OUTPUT_NAMES if name not in there]:
            raise ModelError(f"{path.name}: has no output {missing[0]!r}; it has {', '.join(sorted(there))}")

    def __call__(self, pictures: Float32) -> dict[str, Float32]:
        """Outputs by name for pictures [N, 3, H, W]."""
        results = self._compiled(pictures)
        return {name: np.array(results[self._compiled.output(name)], np.float32) for name in OUTPUT_NAMES}


def run_openvino(path: Path, pictures: Float32) -> dict[str, Float32]:
    """Outputs by name of a file for pictures [N, 3, H, W]. Raises `ModelError`."""
    return OpenVinoFile(path)(pictures)
