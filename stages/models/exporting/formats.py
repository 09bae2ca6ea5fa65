"""The formats a network is exported to: how each is written, how it is run to be checked, how near it must be."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Final, Literal, get_args

import torch

from pipeline.errors import ModelError
from pipeline.messages import Float32
from stages.models.exporting.agreement import Given, Tolerance
from stages.models.exporting.deployed import Deployed, open_dimensions, outputs_of
from stages.models.exporting.running import OpenVinoFile
from stages.models.openvino_runtime import core, save_ir

Format = Literal["onnx", "openvino", "int8", "torch"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
SUFFIXES: Final[dict[Format, tuple[str, ...]]] = {
    "onnx": (".onnx",),
    "openvino": (".xml", ".bin"),
    "int8": ("-int8.xml", "-int8.bin"),
    "torch": (".pt2",),
}
# In float32 only the order of summation differs; half-precision weights move a score by up to a hundredth. Of INT8 the
# outputs must be recognisable, and its detections are judged by the accuracy they cost.
EXACT: Final = Tolerance(mean=0.001, largest=0.05, iou=0.95, score=0.01, share=0.995)
HALF: Final = Tolerance(mean=0.01, largest=0.5, iou=0.9, score=0.05, share=0.98)
INT8: Final = Tolerance(mean=0.3, largest=inf, iou=0.5, score=1.0, share=0.0)

Runner = Callable[[Float32], Given]


@dataclass(frozen=True, slots=True)
class Made:
    """A file of one format, written and not yet checked."""

    format: Format
    files: tuple[Path, ...]

    @property
    def main(self) -> Path:
        """The file that is given to who runs it."""
        return self.files[0]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)


def made(format_: Format, stem: Path) -> Made:
    """The files of a format by the path they have in common. Raises `ModelError` where one was not written."""
    files = tuple(stem.with_name(stem.name + suffix) for suffix in SUFFIXES[format_])
    for file in files:
        if not file.is_file() or not file.stat().st_size:
            raise ModelError(f"{file.name}: was not written; is the disk full?")
    return Made(format_, files)


def tolerance(format_: Format, *, half: bool) -> Tolerance:
    """How near torch a format must be; `half`: its weights are in half precision."""
    if format_ == "int8":
        return INT8
    return HALF if half and format_ != "torch" else EXACT


def write_ir(onnx_file: Path, path: Path) -> None:
    """OpenVINO's .xml and .bin of an ONNX file, weights as they are there: its own halving takes biases and scales too.

    Converting it would turn the halves back; reading it alone does not.
    """
    save_ir(core().read_model(onnx_file), path)


def write_program(deployed: Deployed, path: Path, *, width: int, height: int, any_size: bool = False) -> None:
    """The archive of `torch.export`, for any number of pictures, of one size or of any."""
    pictures = torch.zeros(2, 3, height, width)
    with torch.no_grad():
        program = torch.export.export(
            deployed, (pictures,), dynamic_shapes={"images": open_dimensions(any_size=any_size)}
        )
    program.example_inputs = None  # would be stored: more than the weights
    archive = io.BytesIO()  # torch's own writer ends the process where a disk is full
    torch.export.save(program, archive)
    path.write_bytes(archive.getvalue())


def runner(file: Made) -> Runner:
    """What runs a file from disk. Raises `ModelError` where it cannot be read."""
    return _program(file.main) if file.format == "torch" else OpenVinoFile(file.main)


def _program(path: Path) -> Runner:
    """The archive that this process has just written: nobody else's may be loaded, for it can hold pickles."""
    return partial(outputs_of, torch.export.load(path).module())
