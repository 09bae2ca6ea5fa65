"""What the decoder gives: a surface, and the frame that says whose it is and when it was captured."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

from pipeline.messages.arrays import UInt8

Clock = Literal["rtcp", "pts", "host", "recording"]
PixelFormat = Literal["yuv420p", "nv12", "rgb24"]
Matrix = Literal["bt601", "bt709"]
Range = Literal["limited", "full"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Surface:
    """A picture as the decoder gave it.

    Planes are uint8: ``yuv420p`` Y [H, W], U and V [ceil(H/2), ceil(W/2)]; ``nv12`` Y [H, W], UV [ceil(H/2),
    ceil(W/2), 2]; ``rgb24`` one plane [H, W, 3].
    """

    format: PixelFormat
    planes: tuple[UInt8, ...]
    matrix: Matrix = "bt601"
    range: Range = "limited"

    def __post_init__(self) -> None:
        needed = _plane_shapes(self.format, *self.planes[0].shape[:2])
        given = tuple(plane.shape for plane in self.planes)
        if given != needed:
            raise ValueError(f"Surface.planes of {self.format} have shapes {given}; {needed} are needed")

    @property
    def height(self) -> int:
        """Rows of the picture."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Columns of the picture."""
        return int(self.planes[0].shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of all planes."""
        return sum(plane.nbytes for plane in self.planes)

    def __repr__(self) -> str:
        return f"Surface({self.format}, {self.width}x{self.height}, {self.matrix}, {self.range})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DeviceSurface(Surface):
    """A picture in the memory of the device that will look at it: planes are torch tensors, strided as they came.

    Whoever reads it has its stream wait for `ready` first, and has passed it before the picture's slot is given back.
    What a decoder has just given and will overwrite has a `stream` instead: it is read there, without waiting.
    """

    planes: tuple[Any, ...]
    device: str = "cpu"  # as torch has it
    ready: Any = None  # the CUDA event after which the planes hold the picture; None where they do, or for a `stream`
    stream: Any = None  # the CUDA stream on which it was made, and is overwritten
    memory: Any = None  # uint8 [H + H / 2, W], contiguous: both planes of nv12, where they lie so, and nothing else

    def __repr__(self) -> str:
        return f"DeviceSurface({self.format}, {self.width}x{self.height}, {self.matrix}, {self.range}, {self.device})"


def on_host(surface: Surface) -> Surface:
    """A picture in this process' memory: copied off a device, itself where it is there."""
    if not isinstance(surface, DeviceSurface):
        return surface
    for made in (surface.ready, surface.stream):
        if made is not None:
            made.synchronize()
    planes = tuple(plane.cpu().numpy() for plane in surface.planes)
    return Surface(surface.format, planes, matrix=surface.matrix, range=surface.range)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One decoded frame: who it is, when it was captured, and its surface."""

    source_id: str
    epoch: int  # from 1
    seq: int  # from 0, without holes within an epoch
    pts: int | None  # in units of time_base, as the container gave it
    time_base: Fraction
    capture_time_ns: int  # wall clock, since 1970
    clock: Clock
    arrival_monotonic_ns: int  # when the decoder handed it out, on the monotonic clock of this machine
    surface: Surface
    discontinuity: bool = False  # the time line or the clock changed just before this frame

    @property
    def width(self) -> int:
        """Columns of the source picture."""
        return self.surface.width

    @property
    def height(self) -> int:
        """Rows of the source picture."""
        return self.surface.height

    @property
    def identity(self) -> tuple[str, int, int]:
        """`(source_id, epoch, seq)`: unique for ever."""
        return self.source_id, self.epoch, self.seq

    def __repr__(self) -> str:
        return f"Frame({self.source_id}/{self.epoch}/{self.seq}, {self.surface!r}, {self.clock})"


def _plane_shapes(pixel_format: PixelFormat, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    half = ((height + 1) // 2, (width + 1) // 2)
    match pixel_format:
        case "yuv420p":
            return (height, width), half, half
        case "nv12":
            return (height, width), (*half, 2)
        case "rgb24":
            return ((height, width, 3),)
    raise ValueError(f"Surface.format is {pixel_format!r}; one of {', '.join(get_args(PixelFormat))} is needed")
