"""From surfaces to boxes and runs on one device: networks, suppression and merge as one stage, one copy to the host.

Nothing is waited for until the batch's findings are asked for, and then one event is. Detection and segmentation run on
streams of their own and overlap; what joins them waits for both by events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.messages import Batch, Detections, DeviceSurface, Frame, ModelInfo, PanopticMap, Surface
from pipeline.stage import Field
from stages.models.buckets import parts
from stages.models.device_backend import DeviceBackend, Looked
from stages.models.torch_buckets import translated
from stages.models.torch_slots import Slots
from stages.models.uploads import Uploads, blanks


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found in a batch; each an entry a frame."""

    detections: Sequence[Detections]
    panoptic: Sequence[PanopticMap] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the host needs of a batch: int32 [n] on the device, and what it means once it is on the host.

    `unpack` gives None where more was found than there was room for; there is more the next time it is read.
    """

    values: Tensor
    unpack: Callable[[npt.NDArray[np.int32]], Found | None]


class Reader(Protocol):
    """What follows the networks, on their device; see `stages.detect.on_device`, `stages.segment.on_device`."""

    @property
    def adds(self) -> frozenset[Field]:
        """`detections`, and `panoptic` where it makes maps."""

    def __call__(self, found: Looked, beside: Looked | None, frames: Sequence[Frame]) -> Reading:
        """Queue it on the current stream. Raises `ModelError`."""


@dataclass(slots=True, eq=False)
class _Begun:
    """A batch on the device, and all that must outlive its work there."""

    slot: Any
    reading: Reading
    surfaces: list[DeviceSurface]


class OnDevice:
    """Adds what its reader does, with nothing left to suppress. Callable from several threads at once."""

    stateful = False
    needs: frozenset[Field] = frozenset({"frames"})

    def __init__(
        self,
        detector: DeviceBackend,
        *,
        reader: Reader,
        model: ModelInfo,
        segmenter: DeviceBackend | None = None,
        lanes: int = 1,
        name: str = "detect",
        note: str = "",
    ) -> None:
        self.name = name
        self.adds = reader.adds
        self.model = model
        self.note = note or detector.note
        self._detector, self._segmenter, self._reader = detector, segmenter, reader
        self._networks = [detector] if segmenter is None else [segmenter, detector]
        self._slots = Slots(lanes + 1, detector.device)
        self._uploads = Uploads(detector.device)

    def __call__(self, batch: Batch) -> Batch:
        """The batch with what was found. Raises `ModelError`, `DeviceLost`."""
        return self.begin(batch)(batch)

    def begin(self, batch: Batch) -> Callable[[Batch], Batch]:
        """Give the device a batch; what is returned waits for it, and adds what was found to the batch it is given.

        Raises:
            ModelError, DeviceLost: here, or when what is returned is called.
        """
        frames = batch.frames
        begun = self._launch(frames) if 0 < len(frames) <= self._largest else None

        def finish(given: Batch) -> Batch:
            found = self._finish(frames, begun)
            if found.panoptic is None:
                return given.with_(detections=found.detections)
            return given.with_(detections=found.detections, panoptic=tuple(found.panoptic))

        return finish

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Make the networks and what follows them ready for every size of batch. Raises `ModelError`."""
        steps = sorted({size for network in self._networks for size in network.to_warm_up()})
        surfaces = blanks(self._detector.picture, self._detector.device)
        names = "+".join(network.name for network in reversed(self._networks))
        for i, size in enumerate(steps, 1):
            if size > self._largest:
                return  # given up meanwhile
            started = time.monotonic()
            for surface in surfaces:
                self._found(_frames_of(surface, size))
            took = time.monotonic() - started
            tell(f"{names}: batches of {size} ready ({i} of {len(steps)}, {took:.1f} s)")

    def complaints(self) -> list[str]:
        """What the networks went on after."""
        return [text for network in self._networks for text in network.complaints()]

    def close(self) -> None:
        """Release the networks. Calling it twice does no harm."""
        for network in self._networks:
            network.close()

    @property
    def _largest(self) -> int:
        return min(network.largest for network in self._networks)

    def _found(self, frames: Sequence[Frame]) -> Found:
        begun = self._launch(frames) if 0 < len(frames) <= self._largest else None
        return self._finish(frames, begun)

    def _launch(self, frames: Sequence[Frame]) -> _Begun | None:
        """Queue a batch; None where the device has too little memory for one so large."""
        slot = self._slots.take()
        try:
            with translated(self._detector.name), ExitStack() as entered:
                surfaces = self._uploads([frame.surface for frame in frames], slot)
                looked = [entered.enter_context(network.looking_at(surfaces)) for network in self._networks]
                beside = looked[0] if self._segmenter is not None else None
                reading = self._reader(looked[-1], beside, frames)
                slot.fetch(reading.values)
        except torch.OutOfMemoryError as exc:
            self._slots.give_back(slot)
            for network in self._networks:
                network.give_up(len(frames), exc)
            return None
        except BaseException:
            self._slots.give_back(slot)
            raise
        return _Begun(slot, reading, surfaces)

    def _finish(self, frames: Sequence[Frame], begun: _Begun | None) -> Found:
        """What a batch gave; one that could not be queued whole goes in parts."""
        if not frames:
            return Found((), () if "panoptic" in self.adds else None)
        if begun is None:
            return _joined([self._found(frames[part]) for part in parts(len(frames), self._largest)])
        try:
            with translated(self._detector.name):
                fetched = begun.slot.fetched()
        finally:
            self._slots.give_back(begun.slot)
        found = begun.reading.unpack(fetched)
        return found if found is not None else self._found(frames)


def _joined(found: Sequence[Found]) -> Found:
    detections = [one for part in found for one in part.detections]
    maps = [one for part in found for one in part.panoptic or ()]
    return Found(detections, maps if found[0].panoptic is not None else None)


def _frames_of(surface: Surface, count: int) -> list[Frame]:
    from fractions import Fraction

    return [Frame("warm-up", 1, seq, seq, Fraction(1), 0, "host", 0, surface) for seq in range(count)]
