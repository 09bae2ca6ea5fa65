"""Running a network: `open_network` reads a graph, `Network.compile` makes a `Backend`, `load_backend` does both.

A backend is a callable from a batch of pictures to named arrays, safe to call from several threads at once. Frames run
one by one within a call: foreign graphs are often fixed at one picture, and reshaping one can return garbage without
an error. Side by side means several threads (`lanes`), each with a request of its own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable
from weakref import WeakSet

import numpy.typing as npt

from pipeline.errors import ConfigError, ModelError
from pipeline.messages import Float32, Surface

if TYPE_CHECKING:
    from stages.models.preprocess import InputSpec, Placement

Kind = Literal["openvino", "onnxruntime"]
Precision = Literal["auto", "f32", "bf16", "fp16"]
Pictures = npt.NDArray[Any]  # uint8 or float32, [N, ...] as `Backend.input_shape` says
Channels = tuple[float, float, float]
PictureSize = tuple[int, int]  # width, height

DYNAMIC = 0  # stands in a shape for a dimension that the graph leaves open


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph; `DYNAMIC` in its shape is a dimension left open."""

    name: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name!r} [{', '.join(str(n) if n else '?' for n in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes into a graph and comes out of it, in the graph's order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def channels_last(self) -> bool:
        """Whether the picture goes in as [N, H, W, C]."""
        shape = self.inputs[0].shape if self.inputs else ()
        return len(shape) == 4 and shape[3] == 3 and shape[1] != 3

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the picture that goes in; 0 what is left open, 0, 0 where the graph does not take one."""
        if len(self.inputs) != 1 or len(self.inputs[0].shape) != 4:
            return 0, 0
        shape = self.inputs[0].shape
        return (shape[1], shape[2]) if self.channels_last else (shape[2], shape[3])

    @property
    def is_open(self) -> bool:
        """Whether a picture goes in and the graph leaves its height or width open."""
        return len(self.inputs) == 1 and len(self.inputs[0].shape) == 4 and not all(self.input_size)

    def __str__(self) -> str:
        inputs = ", ".join(map(str, self.inputs))
        outputs = ", ".join(map(str, self.outputs))
        return f"input {inputs}; output {outputs}"


@dataclass(frozen=True, slots=True)
class Normalisation:
    """``(pixel - mean) / deviation`` on 0..255 values, in the order of the network's channels.

    A backend compiled with one takes uint8 [N, H, W, 3] whatever the graph's own layout, and does the rest inside.
    """

    mean: Channels = (0.0, 0.0, 0.0)
    deviation: Channels = (1.0, 1.0, 1.0)


class Backend(Protocol):
    """A compiled network."""

    @property
    def input_name(self) -> str:
        """The graph's name for its input."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one call's pictures; `DYNAMIC` or 1 first, any number of pictures may be given."""

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the outputs by name, in the graph's order."""

    @property
    def note(self) -> str:
        """What runs the network and how, for the log: what `auto` chose."""

    def __call__(self, inputs: Pictures) -> dict[str, Float32]:
        """Outputs by name, float32 [N, ...], in the graph's order; the caller may keep them.

        Raises:
            ModelError: when the pictures have the wrong shape, the network fails, or the backend is closed.
        """

    def view(self, inputs: Pictures) -> dict[str, Float32]:
        """As a call with one picture, without a copy: the arrays hold until this thread's next call.

        They need not be contiguous.
        """

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""


class Begun(Protocol):
    """A batch that a backend works on."""

    def result(self) -> dict[str, Float32]:
        """What `Backend.__call__` gives; must be asked for once."""


@runtime_checkable
class BatchBackend(Backend, Protocol):
    """One that takes a batch whole, and can be left alone with it."""

    @property
    def largest(self) -> int:
        """Most pictures that go through the network at once; of more, some wait."""

    def start(self, inputs: Pictures) -> Begun:
        """Begin with a batch. Raises `ModelError`."""

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Make ready for every size of batch, telling of each step. Raises `ModelError`."""

    def complaints(self) -> list[str]:
        """What people should be told since the last call."""


class LookedAt(Begun, Protocol):
    """A batch of surfaces that a backend works on."""

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Where each source lies in the network's picture."""


@runtime_checkable
class SurfaceBackend(BatchBackend, Protocol):
    """One that makes the pictures itself, where it runs."""

    def look(self, surfaces: Sequence[Surface], spec: InputSpec) -> LookedAt:
        """Begin with surfaces, wherever they are. Raises `ModelError`."""


class Network(Protocol):
    """A graph that has been read, not yet compiled."""

    @property
    def signature(self) -> Signature:
        """Inputs and outputs."""

    def compile(
        self,
        *,
        normalise: Normalisation | None = None,
        planar: Collection[int] = (),
        precision: Precision = "auto",
        threads: int = 0,
        lanes: int = 1,
    ) -> Backend:
        """Make it run; see `load_backend`. Outputs whose index is in `planar` come as [N, C, H, W] from [N, H, W, C].

        Raises:
            ModelError: where the runtime refuses.
        """


def _openvino(path: Path, size: PictureSize | None) -> Network:
    from stages.models.openvino_backend import OpenVinoNetwork

    return OpenVinoNetwork(path, size)


def _onnxruntime(path: Path, size: PictureSize | None) -> Network:
    from stages.models.onnxruntime_backend import OnnxRuntimeNetwork

    return OnnxRuntimeNetwork(path, size)


Reader = Callable[[Path, PictureSize | None], Network]
RUNTIMES: dict[Kind, Reader] = {"openvino": _openvino, "onnxruntime": _onnxruntime}
_running: WeakSet[Any] = WeakSet()


def open_network(
    path: str | Path, *, kind: Literal["auto"] | Kind = "auto", size: PictureSize | None = None
) -> Network:
    """Read a graph from an ONNX file (or OpenVINO's .xml).

    Args:
        path: the file.
        kind: which runtime; `auto` is OpenVINO.
        size: width and height of the picture, for a graph that leaves them open; None leaves them so.

    Raises:
        ModelError: when the file is missing or not a network, the runtime is not installed, or another runtime already
            runs a network in this process: two thread pools slow each other down many times over; when the picture
            cannot have that size.
    """
    chosen: Kind = "openvino" if kind == "auto" else kind
    if chosen not in RUNTIMES:
        raise ModelError(f"backend {kind!r} is not known; one of auto, {', '.join(RUNTIMES)} is needed")
    path = Path(path)
    check_file(path)
    others = sorted({backend.kind for backend in _running} - {chosen})
    if others:
        raise ModelError(
            f"{path}: cannot run on {chosen} while {others[0]} runs another network in this process; "
            "give both the same backend"
        )
    return RUNTIMES[chosen](path, size)


def load_backend(
    path: str | Path,
    *,
    kind: Literal["auto"] | Kind = "auto",
    precision: Precision = "auto",
    threads: int = 0,
    lanes: int = 1,
    normalise: Normalisation | None = None,
    size: PictureSize | None = None,
) -> Backend:
    """A network ready to run.

    Args:
        path: ONNX file.
        kind: which runtime; `auto` is OpenVINO.
        precision: `auto` is bf16 where the processor computes in it natively, else f32.
        threads: inference threads in all; 0 is every core with one lane, and one thread a lane with several.
        lanes: threads that will call at the same time.
        normalise: take uint8 [N, H, W, 3] and normalise inside the graph; None takes what the graph takes.
        size: as `open_network`.

    Raises:
        ModelError: as `open_network` and `Network.compile`.
    """
    network = open_network(path, kind=kind, size=size)
    return network.compile(normalise=normalise, precision=precision, threads=threads, lanes=lanes)


def register(backend: Any) -> None:
    """Count a compiled backend as running, until `unregister` or its end."""
    _running.add(backend)


def unregister(backend: Any) -> None:
    """The backend was closed."""
    _running.discard(backend)


def check_file(path: Path) -> None:
    """Refuse what cannot be a model before a runtime words it worse. Raises `ModelError`."""
    if not path.exists():
        raise ModelError(f"{path}: no such model file")
    if not path.is_file():
        raise ModelError(f"{path}: not a file; a path to an ONNX model is needed")
    if not os.access(path, os.R_OK):
        raise ModelError(f"{path}: the model file may not be read (permission denied)")
    if path.stat().st_size == 0:
        raise ModelError(f"{path}: the model file is empty")


def checksum(path: Path) -> str:
    """SHA-256 of a model, in hex: of all its files, one after the other."""
    digest = hashlib.sha256()
    for file in files_of(path):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def files_of(model: Path) -> list[Path]:
    """A model's file, and after it the one beside it in which OpenVINO's .xml keeps weights."""
    weights = model.with_suffix(".bin")
    return [model, weights] if model.suffix == ".xml" and weights.is_file() else [model]


def sized_input(path: Path, signature: Signature, size: PictureSize | None) -> tuple[int, ...] | None:
    """The shape of the input with a picture's size where the graph leaves it open; None where nothing changes.

    Raises:
        ModelError: when the graph is fixed at another size.
    """
    height, width = signature.input_size
    if size is None or not (signature.is_open or height):
        return None
    if any(fixed and fixed != asked for fixed, asked in zip((width, height), size, strict=True)):
        raise ModelError(
            f"{path}: the network takes pictures of {width or 'any'}x{height or 'any'} and none of "
            f"{size[0]}x{size[1]}; leave out picture_size, or export the network anew"
        )
    if not signature.is_open:
        return None
    batch, channels = signature.inputs[0].shape[:2]
    return (batch, size[1], size[0], 3) if signature.channels_last else (batch, channels or 3, size[1], size[0])


def check_settled(signature: Signature, path: Path, setting: str) -> None:
    """Refuse a graph whose picture's size is still open. Raises `ConfigError` naming the setting."""
    if signature.is_open:
        raise ConfigError(
            f"{setting}.picture_size: needed, because {path} leaves the size of its picture open and no card beside it "
            "tells one ('everyframe run --picture-size', 'everyframe evaluate --size')"
        )


def unsuitable(path: Path, size: PictureSize) -> ModelError:
    """That a graph whose picture's size is open cannot have this one."""
    return ModelError(
        f"{path}: the network cannot take pictures of {size[0]}x{size[1]}; most want multiples of 32, 416x416 for one"
    )


def unreadable(path: Path, error: Exception) -> ModelError:
    """A runtime's many lines about a file as one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = next((line for line in reversed(lines) if not line.startswith(("Exception from", "Check "))), "")
    return ModelError(f"{path}: not an ONNX model that can be read: {(telling or type(error).__name__)[:300]}")


def check_pictures(inputs: Pictures, wanted: tuple[int, ...]) -> None:
    """Refuse pictures of another shape than the network's. Raises `ModelError`."""
    if inputs.ndim != len(wanted) or any(
        w not in (DYNAMIC, g) for g, w in zip(inputs.shape[1:], wanted[1:], strict=True)
    ):
        shown = ", ".join(["N", *(str(n) if n else "?" for n in wanted[1:])])
        raise ModelError(f"pictures have shape {list(inputs.shape)}; the network takes [{shown}]")
