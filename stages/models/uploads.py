"""Surfaces that lie on the host, brought to a device as they are: planes cost less to copy than pictures to make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pipeline.messages import DeviceSurface, PixelFormat, Surface, UInt8
from stages.models.cuda_streams import on_stream
from stages.models.preprocess import InputSpec
from stages.models.torch_slots import Slot

_ALIGNMENT = 256  # bytes between the starts of planes


class Uploads:
    """Copies planes on a stream of its own, beside what the networks do."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: Any = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, surfaces: Sequence[Surface], slot: Slot) -> list[DeviceSurface]:
        """The surfaces on the device, those that are there already as they are; the copies go through the slot.

        Nothing is waited for: `ready` of a copy tells when it is there. They hold until the slot is given back.
        """
        planes = [() if is_here(surface, self._device) else _planes(surface) for surface in surfaces]
        starts = np.cumsum([0, *(_padded(plane.nbytes) for of_one in planes for plane in of_one)])
        if not starts[-1]:
            return [_as_is(surface) for surface in surfaces]
        with on_stream(self._stream):
            held = slot.staging(int(starts[-1]))
            at = iter(starts.tolist())
            places = [[(next(at), plane) for plane in of_one] for of_one in planes]
            for start, plane in (placed for of_one in places for placed in of_one):
                _view(held, start, plane).numpy()[...] = plane
            there = held.to(self._device, non_blocking=True)
            ready = None
            if self._stream is not None:
                ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
                ready.record(self._stream)
        return [
            self._moved(surface, [_view(there, start, plane) for start, plane in of_one], ready)
            for surface, of_one in zip(surfaces, places, strict=True)
        ]

    def _moved(self, surface: Surface, planes: list[Tensor], ready: Any) -> DeviceSurface:
        if not planes:
            return _as_is(surface)
        layout: PixelFormat = "nv12" if len(planes) == 2 else "yuv420p"
        return DeviceSurface(
            layout,
            tuple(planes),
            matrix=surface.matrix,
            range="full" if surface.format == "rgb24" else surface.range,
            device=str(self._device),
            ready=ready,
        )


def blanks(picture: InputSpec, device: torch.device) -> tuple[Surface, Surface]:
    """Black surfaces of the size of a network's picture: as a GPU decodes them, on the device; and as a CPU does."""
    height, width = picture.height, picture.width
    luma, chroma = (height, width), ((height + 1) // 2, (width + 1) // 2)
    planes = [torch.full(luma, 16, dtype=torch.uint8), torch.full((*chroma, 2), 128, dtype=torch.uint8)]
    decoded = np.full(luma, 16, np.uint8), *(np.full(chroma, 128, np.uint8) for _ in range(2))
    there = DeviceSurface("nv12", tuple(plane.to(device) for plane in planes), device=str(device))
    return there, Surface("yuv420p", decoded)


def is_here(surface: Surface, device: torch.device) -> bool:
    """Whether a surface lies on a device."""
    return isinstance(surface, DeviceSurface) and surface.planes[0].device == device


def _planes(surface: Surface) -> tuple[UInt8, ...]:
    if isinstance(surface, DeviceSurface):  # on another device
        for made in (surface.ready, surface.stream):
            if made is not None:
                made.synchronize()
        return tuple(plane.cpu().numpy() for plane in surface.planes)
    if surface.format == "rgb24":
        return _of_rgb(surface)
    return surface.planes


def _of_rgb(surface: Surface) -> tuple[UInt8, ...]:
    """RGB as full-range yuv420p by the surface's matrix; what a decoder gave never comes this way."""
    red, green, blue = (surface.planes[0][..., channel].astype(np.float32) for channel in range(3))
    of_red, of_blue = (0.299, 0.114) if surface.matrix == "bt601" else (0.2126, 0.0722)
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    height, width = luma.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    chroma = [
        cv2.resize(128 + (colour - luma) / (2 * (1 - weight)), size, interpolation=cv2.INTER_AREA)
        for colour, weight in ((blue, of_blue), (red, of_red))
    ]
    return tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (luma, *chroma))


def _as_is(surface: Surface) -> DeviceSurface:
    assert isinstance(surface, DeviceSurface)
    return surface


def _view(held: Tensor, start: int, plane: UInt8) -> Tensor:
    return held[start : start + plane.nbytes].view(plane.shape)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
