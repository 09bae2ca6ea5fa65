"""Contracts between the runtime and what happens to a frame: `Reader`, `Stage`, `Sink`.

A stage is pure computation on batches, with no socket, no thread and no clock of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, runtime_checkable

from pipeline.messages import Batch, Frame, FrameResult, Gap, SourceStatus, Surface

Field = Literal["frames", "detections", "prototypes", "semantic", "panoptic", "tracks"]


@runtime_checkable
class Stage(Protocol):
    """`Batch -> Batch`. `needs` and `adds` name fields of `Batch`, so that an impossible graph is refused at once."""

    @property
    def name(self) -> str:
        """The word for this stage in timings and errors."""

    @property
    def stateful(self) -> bool:
        """Whether batches must pass in order, one at a time (a tracker), rather than side by side."""

    @property
    def needs(self) -> frozenset[Field]:
        """The fields of a batch that must be filled before this stage."""

    @property
    def adds(self) -> frozenset[Field]:
        """The fields of a batch that are filled after this stage."""

    def __call__(self, batch: Batch) -> Batch:
        """The batch with this stage's work added; the batch given is not changed."""


@runtime_checkable
class Closable(Protocol):
    """A stage that holds something; closed once, by whoever runs the graph."""

    def close(self) -> None:
        """Release what is held. Calling it twice does no harm."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a reader knows of its video stream."""

    codec: str
    width: int
    height: int
    frame_rate: Fraction | None  # as declared; None where the container is silent
    frame_count: int | None  # of a file, as declared


class Reader(Protocol):
    """An opened source: iterating gives frames until the end of a file; a fault raises a `SourceError`."""

    @property
    def info(self) -> StreamInfo:
        """The stream, as declared at opening or since the last change of size."""

    @property
    def undecoded(self) -> int:
        """Packets so far that gave no frame."""

    def __iter__(self) -> Iterator[Frame]:
        """Frames in presentation order."""

    def close(self) -> None:
        """Release the container; from the thread that reads. Calling it twice does no harm."""


class Sink(Protocol):
    """A place results go, one source's items in order. A sink that cannot take an item raises `SinkError`."""

    @property
    def name(self) -> str:
        """The word for this sink in ledgers and errors."""

    @property
    def needs_surface(self) -> bool:
        """Whether it draws, and so must be given each frame's picture."""

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None) -> None:
        """Take one item; `surface` is the result's picture where `needs_surface`."""

    def close(self) -> None:
        """Finish files so that they can be read. Calling it twice does no harm."""
