"""Pictures in shared memory: a ring of slots in a `memfd`, one writer, any number of readers.

The memory has no name, so nothing is left behind however the processes end, and it is sparse: a slot is as large as
the largest picture allowed, and costs what is written to it. The writer takes the lowest free slot, so that few are
touched.

Each slot has two numbers. *Taken* is written by the writer alone and grows each time it takes the slot; *released* is
written by whoever is done with the picture and says which taking that was. A slot is free where the two are equal. A
late release of an earlier taking can therefore never free a slot under the picture of a later one.

One more number, *wanted*, is how many free slots the writer waits for: releases wake it only then. A writer woken for
every slot costs its reader a system call a frame, and both of them a cold cache.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.errors import LinkError
from pipeline.messages import DeviceSurface, Matrix, PixelFormat, Range, Surface, UInt8, on_host
from pipeline.stage import PicturePool

PAGE = mmap.PAGESIZE
_WORD_BYTES = 8
MOST_SURFACES = 4  # kept of each slot


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a ring is divided."""

    slots: int
    slot_bytes: int

    @classmethod
    def of(cls, *, slots: int, max_pixels: int) -> Geometry:
        """A ring whose slots take a 4:2:0 picture of `max_pixels`, odd sizes included."""
        return cls(slots, _whole_pages(max_pixels * 3 // 2 + 65_536))

    @property
    def total_bytes(self) -> int:
        """Size of the whole, headers included; most of it is never touched."""
        return _whole_pages((2 * self.slots + 1) * _WORD_BYTES) + self.slots * self.slot_bytes


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as it was taken once."""

    index: int
    generation: int


class Ring:
    """A ring mapped into this process. `memory` and `freed` (an eventfd that counts releases) stay the caller's."""

    def __init__(self, memory: int, freed: int, geometry: Geometry) -> None:
        """Raises `LinkError` where the memory is smaller than the geometry says."""
        if os.fstat(memory).st_size < geometry.total_bytes:
            raise LinkError(f"shared memory has {os.fstat(memory).st_size} bytes; {geometry.total_bytes} are needed")
        self.freed = freed
        self.geometry = geometry
        self._map = mmap.mmap(memory, geometry.total_bytes)
        words = memoryview(self._map)[: (2 * geometry.slots + 1) * _WORD_BYTES].cast("q")
        self._taken, self._released = words[: geometry.slots], words[geometry.slots : 2 * geometry.slots]
        self._wanted = words[2 * geometry.slots :]
        self._surfaces: dict[tuple[int, PixelFormat, int, int, Matrix, Range], Surface] = {}  # the same frame by frame
        self._bytes: UInt8 = np.frombuffer(self._map, dtype=np.uint8)
        self._pool: PicturePool | None = None
        self._on_device: dict[int, tuple[int, DeviceSurface]] = {}  # generation and picture, by slot
        self._and_here = False

    def keep_on_device(self, pool: PicturePool, *, and_here: bool) -> None:
        """From here on this process writes pictures into a device's memory; `and_here`: into the slots as well."""
        self._pool, self._and_here = pool, and_here

    @staticmethod
    def create(geometry: Geometry) -> tuple[int, int]:
        """The memory and the eventfd of a new ring; the caller closes both."""
        memory = os.memfd_create("everyframe-frames", os.MFD_CLOEXEC)
        os.ftruncate(memory, geometry.total_bytes)
        return memory, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def take(self) -> Slot | None:
        """The lowest free slot, for the writer; None where all are taken."""
        for index in range(self.geometry.slots):
            if self._taken[index] == self._released[index]:
                self._taken[index] += 1
                return Slot(index, self._taken[index])
        return None

    def release(self, slot: Slot) -> None:
        """Give a slot back, from any process."""
        if self._taken[slot.index] == slot.generation:
            self._released[slot.index] = slot.generation
            if 0 < self._wanted[0] <= self.free:
                os.eventfd_write(self.freed, 1)

    def want(self, free: int) -> bool:
        """Have `freed` told when so many slots are free, 0 for never; whether they are, which a writer asks first."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.freed)
        self._wanted[0] = free
        return self.free >= free

    def reclaim(self) -> None:
        """Take every slot back, for the writer, once nobody who held one is expected to return it."""
        for index in range(self.geometry.slots):
            self._taken[index] += 1
            self._released[index] = self._taken[index]

    def is_current(self, slot: Slot) -> bool:
        """Whether a slot still holds the picture it was taken for."""
        return 0 <= slot.index < self.geometry.slots and self._taken[slot.index] == slot.generation

    @property
    def free(self) -> int:
        """Slots that can be taken."""
        return sum(taken == released for taken, released in zip(self._taken, self._released, strict=True))

    @property
    def in_use(self) -> int:
        """Slots that are not free."""
        return self.geometry.slots - self.free

    def fits(self, surface: Surface) -> bool:
        """Whether a slot has room for a picture."""
        return surface.nbytes <= self.geometry.slot_bytes

    def write(self, slot: Slot, surface: Surface) -> object:
        """Copy a picture into a slot taken for it; the CUDA event after which it was read; see
        `PicturePool.write`."""
        read = None
        if self._pool is not None:
            there, read = self._pool.write(slot.index, surface)
            self._on_device[slot.index] = (slot.generation, there)
            if not self._and_here:
                return read
            surface = on_host(surface)
        targets = self._planes(slot, surface.format, surface.width, surface.height)
        for target, plane in zip(targets, surface.planes, strict=True):
            np.copyto(target, plane)
        return read

    def surface(
        self, slot: Slot, *, pixel_format: PixelFormat, width: int, height: int, matrix: Matrix, value_range: Range
    ) -> Surface:
        """The picture in a slot, without a copy. Raises `LinkError` where no slot can hold such a picture."""
        generation, there = self._on_device.get(slot.index, (0, None))
        if there is not None and generation == slot.generation:
            return there
        key = slot.index, pixel_format, width, height, matrix, value_range
        found = self._surfaces.get(key)
        if found is None:
            planes = tuple(self._planes(slot, pixel_format, width, height))
            found = Surface(pixel_format, planes, matrix=matrix, range=value_range)
            if len(self._surfaces) >= MOST_SURFACES * self.geometry.slots:  # a source whose pictures change size
                self._surfaces.clear()
            self._surfaces[key] = found
        return found

    def close(self) -> None:
        """Let go of the mapping; it ends with the last picture that refers to it."""
        self._taken.release()
        self._released.release()
        self._wanted.release()
        self._surfaces.clear()
        self._on_device.clear()
        self._pool = None
        self._bytes = np.zeros(0, dtype=np.uint8)
        with suppress(BufferError):  # a picture refers to it
            self._map.close()

    def _planes(self, slot: Slot, pixel_format: PixelFormat, width: int, height: int) -> list[UInt8]:
        layout, nbytes = _layout_of(pixel_format, width, height)
        if not 0 <= slot.index < self.geometry.slots or nbytes > self.geometry.slot_bytes:
            raise LinkError(f"slot {slot.index} cannot hold {width}x{height} {pixel_format}: {self.geometry}")
        start = self.geometry.total_bytes - (self.geometry.slots - slot.index) * self.geometry.slot_bytes
        return [self._bytes[start + at : start + at + size].reshape(shape) for shape, at, size in layout]


def plane_shapes(pixel_format: PixelFormat, width: int, height: int) -> Sequence[tuple[int, ...]]:
    """Shapes of a picture's planes; see `Surface`."""
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes: dict[PixelFormat, list[tuple[int, ...]]] = {
        "yuv420p": [(height, width), half, half],
        "nv12": [(height, width), (*half, 2)],
        "rgb24": [(height, width, 3)],
    }
    return shapes[pixel_format]


@lru_cache(maxsize=64)
def _layout_of(
    pixel_format: PixelFormat, width: int, height: int
) -> tuple[tuple[tuple[tuple[int, ...], int, int], ...], int]:
    """Of each plane its shape, where it begins in a slot and its size; and the bytes of all."""
    layout, at = [], 0
    for shape in plane_shapes(pixel_format, width, height):
        layout.append((shape, at, math.prod(shape)))
        at += math.prod(shape)
    return tuple(layout), at


def _whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE
