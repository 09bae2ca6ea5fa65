"""An ONNX graph on a GPU: surfaces or pictures in, and only what the network gives comes back, in one copy a batch.

Surfaces are brought into the network's form where they are, and the graph is bound to them (`BoundSession`). Graphs are
often fixed at one picture, and one that is open may give garbage for several without an error: pictures go through it
together only where that was seen to give the same. It works on a CPU too, for tests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ModelError
from pipeline.messages import DeviceSurface, Float32, Surface
from stages.models import backend as backends
from stages.models.backend import DYNAMIC, Normalisation, Pictures, Signature
from stages.models.bound_session import BoundSession
from stages.models.buckets import bucket_for, buckets_up_to, parts
from stages.models.cuda_streams import on_stream, wait_for
from stages.models.letterbox import letterbox
from stages.models.preprocess import InputSpec, Placement
from stages.models.torch_buckets import translated
from stages.models.torch_slots import Slot, Slots
from stages.models.uploads import Uploads

TOLERANCE = 1e-2  # of what the network gives for a picture among others, relative to its largest value


# Pictures as the graph takes them, where the sources lie in them, and what must outlive the work.
_Prepared = tuple[Tensor, tuple[Placement, ...], Sequence[DeviceSurface]]


@dataclass(slots=True, eq=False)
class Pending:
    """A batch the device works on; `result` must be asked for once."""

    slots: Slots
    slot: Slot
    placements: tuple[Placement, ...]  # where each source lies in its picture; none for pictures made on the host
    _surfaces: Sequence[DeviceSurface]  # they must outlive the work

    def result(self) -> dict[str, Float32]:
        """Outputs by name, float32 [N, ...]. Raises `ModelError`, `DeviceLost`."""
        try:
            with translated("onnxruntime"):
                return self.slot.take()
        finally:
            self.slots.give_back(self.slot)


class OnnxDeviceBackend:
    """A graph that is ready to run, from any number of threads; the device takes their batches in turn."""

    kind = "onnxruntime"

    def __init__(
        self,
        session: BoundSession,
        signature: Signature,
        *,
        normalise: Normalisation | None,
        planar: Collection[int],
        device: torch.device,
        stream: Any,
        lanes: int,
        largest: int,
        name: str,
        note: str,
        first_start: str = "",
    ) -> None:
        """`stream`: the CUDA stream the session computes on, None on a CPU."""
        self._session: BoundSession | None = session
        self._normalise, self._device, self._stream = normalise, device, stream
        self._name, self._first_start = name, first_start
        self._channels_last = signature.channels_last
        self._slots = Slots(lanes + 1, device)
        self._uploads = Uploads(device)
        self._alone = threading.Lock()
        self._complaints: list[str] = []
        self.input_name = signature.inputs[0].name
        self._size = height, width = signature.input_size
        taken = signature.inputs[0].shape
        self.input_shape = (DYNAMIC, height, width, 3) if normalise else (DYNAMIC, *taken[1:])
        self._planar = {port.name for i, port in enumerate(signature.outputs) if i in planar}
        self.outputs = {p.name: _planar(p.shape) if p.name in self._planar else p.shape for p in signature.outputs}
        self._buckets: tuple[int, ...] = (1,)
        self.largest = largest
        if taken[0] == DYNAMIC and largest > 1 and self._agrees():
            self._buckets = buckets_up_to(largest)
        self._note = note
        backends.register(self)

    @property
    def note(self) -> str:
        """What runs the network and how."""
        many = self._buckets[-1]
        return f"{self._note}, {f'up to {many} at once' if many > 1 else 'one picture at a time'}"

    def complaints(self) -> list[str]:
        """What people should be told since the last call."""
        told, self._complaints = self._complaints, []
        return told

    def __call__(self, inputs: Pictures) -> dict[str, Float32]:
        """Outputs by name, float32 [N, ...]. Raises `ModelError`, `DeviceLost`."""
        return self.start(inputs).result()

    def view(self, inputs: Pictures) -> dict[str, Float32]:
        """As a call. Raises `ModelError`, `DeviceLost`."""
        return self(inputs)

    def start(self, inputs: Pictures) -> Pending:
        """Begin with pictures that were made on the host. Raises `ModelError`, `DeviceLost`."""
        backends.check_pictures(inputs, self.input_shape)
        return self._begin(len(inputs), lambda slot: (self._uploaded(inputs, slot), (), ()))

    def look(self, surfaces: Sequence[Surface], spec: InputSpec) -> Pending:
        """Begin with surfaces, wherever they are: the device makes the pictures. Raises `ModelError`, `DeviceLost`."""
        return self._begin(len(surfaces), lambda slot: self._made(surfaces, spec, slot))

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Make ready for every size of batch, telling of each. Raises `ModelError`, `DeviceLost`."""
        if self._first_start:
            tell(f"{self._name}: {self._first_start}")
        for size in self._buckets:
            started = time.monotonic()
            self(np.zeros((size, *self.input_shape[1:]), dtype=np.uint8 if self._normalise else np.float32))
            tell(f"{self._name}: batches of {size} ready ({time.monotonic() - started:.1f} s)")

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""
        with self._alone:
            if self._session is not None:
                self._session.close()
            self._session = None
        backends.unregister(self)

    def _begin(self, count: int, prepare: Callable[[Slot], _Prepared]) -> Pending:
        if count == 0:
            raise ModelError(f"{self._name}: no pictures were given; 1 or more are needed")
        slot = self._slots.take()
        try:
            with self._on_device() as session:
                pictures, placements, surfaces = prepare(slot)
                slot.download(self._inferred(session, pictures), count)
        except BaseException:
            self._slots.give_back(slot)
            raise
        return Pending(self._slots, slot, placements, surfaces)

    def _inferred(self, session: BoundSession, pictures: Tensor) -> dict[str, Tensor]:
        """Outputs for pictures as the graph takes them, float32; as many together as is known to be good."""
        try:
            return self._in_parts(session, pictures, self._buckets)
        except torch.OutOfMemoryError as exc:
            if len(pictures) == 1 or self._buckets == (1,):
                raise ModelError(f"{self._name}: {self._device} has too little memory for a single picture") from exc
        self._buckets = (1,)
        self._complaints.append(f"{self._name}: {self._device} ran out of memory; from here on one picture at a time")
        return self._in_parts(session, pictures, self._buckets)

    def _in_parts(self, session: BoundSession, pictures: Tensor, buckets: tuple[int, ...]) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {name: [] for name in self.outputs}
        for part in parts(len(pictures), buckets[-1]):
            rows = pictures[part]
            for name, output in session(self._padded(rows, bucket_for(len(rows), buckets))).items():
                found[name].append(self._read(name, output[: len(rows)]))
        return {name: torch.cat(outputs) for name, outputs in found.items()}

    def _read(self, name: str, output: Tensor) -> Tensor:
        """An output as a tensor of its own: the next run writes where this one did."""
        output = output.permute(0, 3, 1, 2) if name in self._planar else output
        return output.to(torch.float32, copy=True).contiguous()

    def _padded(self, rows: Tensor, size: int) -> Tensor:
        """Rows as a tensor of their own, which begins where kernels may count on, and `size` long."""
        held = torch.empty((size, *rows.shape[1:]), dtype=rows.dtype, device=rows.device)
        held[: len(rows)].copy_(rows)
        held[len(rows) :].copy_(rows[:1])
        return held

    def _agrees(self) -> bool:
        """Whether two pictures together give what each gives alone."""
        noise = torch.rand((2, *self.input_shape[1:]), generator=torch.Generator().manual_seed(0)) * 255.0
        with self._on_device() as session:
            pictures = self._normalised(noise.to(self._device)) if self._normalise else noise.to(self._device)
            pictures = pictures.to(session.dtype)
            alone = self._in_parts(session, pictures, (1,))
            try:
                together = self._in_parts(session, pictures, (2,))
            except (ModelError, torch.OutOfMemoryError):
                return False
            return all(_close(together[name], alone[name]) for name in alone)

    def _uploaded(self, inputs: Pictures, slot: Slot) -> Tensor:
        assert self._session is not None
        given = slot.upload(np.ascontiguousarray(inputs), len(inputs))
        return (given if self._normalise is None else self._normalised(given)).to(self._session.dtype)

    def _normalised(self, levels: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] as the graph takes it, float32."""
        assert self._normalise is not None
        mean, deviation = (
            torch.tensor(v, device=self._device) for v in (self._normalise.mean, self._normalise.deviation)
        )
        pictures = (levels.to(torch.float32) - mean) / deviation
        return pictures if self._channels_last else pictures.permute(0, 3, 1, 2).contiguous()

    def _made(self, surfaces: Sequence[Surface], spec: InputSpec, slot: Slot) -> _Prepared:
        """Pictures of surfaces, made on the device in the place and order the graph reads."""
        assert self._session is not None
        there = self._uploads(surfaces, slot)
        shape = (*self._size, 3) if self._channels_last else (3, *self._size)
        held = torch.empty((len(there), *shape), device=self._device)
        pictures = held.permute(0, 3, 1, 2) if self._channels_last else held
        placements = []
        for surface, out in zip(there, pictures, strict=True):
            wait_for(self._stream, surface.ready, surface.stream)
            placements.append(letterbox(surface.planes, out, spec, matrix=surface.matrix, levels=surface.range))
        return held.to(self._session.dtype), tuple(placements), there

    @contextmanager
    def _on_device(self) -> Iterator[BoundSession]:
        """Alone on the network's stream; where something fails it is waited until the device reads nothing any more."""
        with self._alone, torch.inference_mode(), translated(self._name):
            if self._session is None:
                raise ModelError("the network was closed and cannot be called any more")
            with on_stream(self._stream):
                try:
                    yield self._session
                except BaseException:
                    if self._stream is not None:
                        with suppress(RuntimeError):  # what failed is being told already
                            self._stream.synchronize()
                    raise


def _close(left: Tensor, right: Tensor) -> bool:
    if left.shape != right.shape:
        return False
    scale = float(right.abs().max()) if right.numel() else 0.0
    return bool(((left - right).abs() <= TOLERANCE * scale).all())


def _planar(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[3], shape[1], shape[2])
