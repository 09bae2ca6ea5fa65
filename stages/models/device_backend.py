"""A torch network that looks at surfaces where they are: no picture crosses the bus for it, nor what it gives.

Surfaces are brought into the network's form straight in the batch's place (`letterbox`), which a CUDA graph reads
without a further copy. What the network gives stays on the device; whoever wants something of it reads it there, on the
network's stream, before the next batch is queued. It works on a CPU too, for tests.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.messages import DeviceSurface
from stages.models import backend as backends
from stages.models.cuda_streams import on_stream, wait_for
from stages.models.devices import Device
from stages.models.letterbox import letterbox
from stages.models.preprocess import InputSpec, Placement
from stages.models.torch_buckets import Buckets, translated


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What a network made of a batch, on its device, until it is left.

    Attributes:
        outputs: by name, float32 [N, ...].
        placements: where each source lies in the network's picture.
    """

    outputs: dict[str, Tensor]
    placements: tuple[Placement, ...]
    _made: Any = None  # the event after which the outputs hold
    _readers: list[Any] | None = None
    _device: Any = None

    def here(self) -> dict[str, Tensor]:
        """The outputs, to be read on the current stream, which waits for them; the network then waits for it."""
        if self._made is not None and self._readers is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(self._made)
            self._readers.append(stream)
        return self.outputs


class DeviceBackend:
    """A network that is ready to look at batches of up to `largest` surfaces; from any number of threads, in turn."""

    kind = "torch"

    def __init__(
        self,
        buckets: Buckets,
        picture: InputSpec,
        *,
        name: str,
        device: Device,
        dtype: torch.dtype,
        precision: str,
    ) -> None:
        self.picture = picture
        self.name = name
        self.device = torch.device(device.name)
        self._buckets = buckets
        self._dtype = dtype
        self._precision = precision
        self._stream: Any = torch.cuda.Stream(self.device) if device.is_cuda else None  # type: ignore[no-untyped-call]
        self._alone = threading.Lock()
        self._pictures: Tensor | None = None
        backends.register(self)

    @property
    def largest(self) -> int:
        """Most pictures that go through the network at once."""
        return self._buckets.largest

    @property
    def note(self) -> str:
        """What runs the network and how."""
        how = f"{self._buckets.execution}, up to {self.largest} at once"
        return f"torch {self._precision} on {self.device}, {how}, pictures stay on the device"

    def complaints(self) -> list[str]:
        """What people should be told since the last call."""
        return self._buckets.complaints()

    @contextmanager
    def looking_at(self, surfaces: Sequence[DeviceSurface]) -> Iterator[Looked]:
        """Queue a batch; while this is entered, the current stream is the network's, and nobody else queues one.

        Nothing is waited for. Where something fails, it is waited until the device reads none of the surfaces any more.

        Raises:
            torch.OutOfMemoryError: when the device has too little memory for so many; see `give_up`.
            ModelError: when the network fails or the backend is closed.
            DeviceLost: when the device failed for good.
        """
        with self._alone, torch.inference_mode(), translated(self.name), on_stream(self._stream):
            try:
                looked = self._look(surfaces)
                yield looked
            except BaseException:
                if self._stream is not None:
                    with suppress(RuntimeError):  # what failed is being told already
                        self._stream.synchronize()
                raise
            for stream in looked._readers or ():
                if stream != self._stream:
                    self._stream.wait_stream(stream)

    def give_up(self, count: int, error: Exception) -> None:
        """The device had too little memory for so many pictures: fewer are taken at once, if they are not already.

        Raises `ModelError` when they were not several.
        """
        if count <= self.largest:
            self._buckets.give_up(self._buckets.size(count), error)

    def to_warm_up(self) -> tuple[int, ...]:
        """Sizes of batches that are slow the first time, in rising order."""
        return self._buckets.to_warm_up()

    def close(self) -> None:
        """Release the network. Calling it twice does no harm."""
        with self._alone:
            self._buckets.close()
            self._pictures = None
        backends.unregister(self)

    def _look(self, surfaces: Sequence[DeviceSurface]) -> Looked:
        if len(surfaces) > self.largest:  # there was room for so many when the batch was begun
            raise torch.OutOfMemoryError(f"{self.device} has memory for {self.largest} pictures at once")
        size = self._buckets.size(len(surfaces))
        pictures = self._held()[:size]
        placements = tuple(
            self._prepare(surface, out) for surface, out in zip(surfaces, pictures[: len(surfaces)], strict=True)
        )
        outputs = self._buckets.runner(size, pictures)(pictures)
        made = None
        if self._stream is not None:
            made = torch.cuda.Event()  # type: ignore[no-untyped-call]
            made.record(self._stream)
        return Looked(
            {name: output[: len(surfaces)] for name, output in outputs.items()}, placements, made, [], self.device
        )

    def _prepare(self, surface: DeviceSurface, out: Tensor) -> Placement:
        wait_for(self._stream, surface.ready, surface.stream)
        return letterbox(surface.planes, out, self.picture, matrix=surface.matrix, levels=surface.range)

    def _held(self) -> Tensor:
        """Where pictures are made, [largest, 3, H, W]; the graphs of all buckets read its first rows."""
        if self._pictures is None:
            shape = (self.largest, 3, self.picture.height, self.picture.width)
            made = torch.zeros(shape, dtype=self._dtype, device=self.device)
            self._pictures = made.to(memory_format=torch.channels_last)
        return self._pictures
