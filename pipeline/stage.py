"""Contracts between the runtime and what happens to a frame: `Reader`, `Stage`, `Sink`.

A stage is pure computation on batches, with no socket, no thread and no clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from pipeline.errors import SinkError, SourceError
from pipeline.messages import (
    Batch,
    CodedPacket,
    DeviceSurface,
    Frame,
    FrameResult,
    Gap,
    SourceStatus,
    StreamHeader,
    Surface,
)

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


@runtime_checkable
class Warmable(Protocol):
    """A stage that is slow at first (a network that is compiled or captured), unless it may do that beforehand."""

    def warm_up(self, tell: Callable[[str], None]) -> None:
        """Do what would make the first batches slow, telling of each step as it is done."""


@runtime_checkable
class Complaining(Protocol):
    """A stage that goes on after something went wrong, and says so."""

    def complaints(self) -> list[str]:
        """What people should be told since it was last asked."""


@runtime_checkable
class Remembering(Protocol):
    """A stage that knows something of each source (its tracks)."""

    def forget(self, source_id: str) -> None:
        """Drop what is known of a source that is gone; it may be unknown."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a reader knows of its video stream."""

    codec: str
    width: int
    height: int
    frame_rate: Fraction | None  # as declared; None where the container is silent
    frame_count: int | None  # of a file, as declared


@dataclass(slots=True)
class Taken:
    """What was taken of a folder's segments in this run."""

    passed: str = ""  # what is in order up to this name was taken by an earlier worker of the source
    last: str = ""  # in order, of all that were taken
    names: set[str] = field(default_factory=set)  # taken since
    failed: int = 0  # segments that gave no frame


def _nothing(_: str) -> None:
    pass


def _at_once(seconds: float) -> bool:
    return seconds == 0


@dataclass(frozen=True, slots=True)
class Access:
    """What the one who opens a source may have of the pipeline, and what the pipeline wants to hear meanwhile."""

    files_root: str | None = None  # files elsewhere are refused
    wait: Callable[[float], bool] = _at_once  # let up to so many seconds pass; False: the reader is to end
    taken: Taken = field(default_factory=Taken)  # outlives the reader
    take: Callable[[str], None] = _nothing  # is told the last name in order that was taken, before it is read
    complain: Callable[[str], None] = _nothing  # of what was lost and does not end the source
    standard_input: int | None = None  # the descriptor, for the source that reads it


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


@runtime_checkable
class Metered(Protocol):
    """A reader that counts what it receives."""

    @property
    def damaged(self) -> int:
        """Frames since it was opened that the decoder had to guess parts of."""

    @property
    def received_bytes(self) -> int:
        """Bytes of video since it was opened."""


class PicturePool(Protocol):
    """Pictures of one source in a device's memory, each in the place of a slot of its ring."""

    def write(self, index: int, surface: Surface) -> tuple[DeviceSurface, object]:
        """Copy a picture there: where it is now, and the CUDA event after which it was read.

        None where it was read at once, or is on the stream that the decoder overwrites it on.
        """


class Numbering(Protocol):
    """Makes frames of pictures; see `stages.decode.frame_maker`."""

    def hear(self, report: tuple[int, int, int | None], *, now_ns: int) -> None:
        """A camera said what its own clock is: see `CodedPacket.report`."""

    def frame(self, surface: Surface, *, pts: int | None, size: tuple[int, int], now_ns: int) -> Frame:
        """The next picture in presentation order, of `size` as coded."""


class PacketReader(Protocol):
    """An opened source whose packets may be decoded elsewhere."""

    @property
    def header(self) -> StreamHeader:
        """What a decoder must know."""

    @property
    def refusal(self) -> str | None:
        """Why its packets cannot be decoded on a device; None where they can, as far as is known."""

    def decoded_here(self, *, next_epoch: Callable[[], int]) -> Reader:
        """The same source, decoded by this process from here on; it closes what it was made of."""

    @property
    def received_bytes(self) -> int:
        """Bytes of video so far."""

    def __iter__(self) -> Iterator[CodedPacket]:
        """Packets in the order of the stream, until the end of a file or where a live source fails."""

    def failure(self, *, frames: int, silent_seconds: float | None) -> SourceError:
        """Why a live source ended after so many decoded frames (None: it hung up), or a file gave none."""

    def close(self) -> None:
        """Release the container; from the thread that reads. Calling it twice does no harm."""


class Decoded(NamedTuple):
    """A picture that came out of a decoder; on a device it holds until the decoder is given the next packet."""

    surface: Surface
    pts: int | None
    is_damaged: bool  # the decoder had to guess parts of it, and says so


class PacketDecoder(Protocol):
    """Decodes one stream where it will be looked at. Used by one thread at a time."""

    @property
    def note(self) -> str:
        """What decodes, for people."""

    def decode(self, packet: CodedPacket) -> list[Decoded]:
        """Pictures that are finished with this packet, in presentation order.

        Raises:
            DecodeError: when it gives none; the next packet may be tried.
            DeviceLost: when the device failed for good.
        """

    def read_until(self, event: object) -> None:
        """Pictures that were handed out are read until a CUDA event; they are not given up before it has passed."""

    def flush(self) -> list[Decoded]:
        """Some of the pictures that it holds back, until there are none; a key frame is to follow.

        Raises `DecodeError`, `DeviceLost`.
        """

    def close(self) -> None:
        """Release it. Calling it twice does no harm."""


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


class Place(NamedTuple):
    """Where an item stands among what was published: the numbers in the headers of its messages."""

    session: int
    number: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sink has come that delivers in its own time."""

    reachable: bool  # whether it takes anything now
    delivered: dict[str, int]  # items by source that are known to have arrived
    lost: dict[str, int]  # items by source that were taken and given up; declared lost where they were going
    waiting: int  # items in memory and on disk
    waiting_bytes: int  # on disk


@runtime_checkable
class ComplainingSink(Sink, Protocol):
    """A sink that has more to tell than which items it did not take."""

    def complaints(self) -> list[SinkError]:
        """What went wrong since it was last asked."""


@runtime_checkable
class DeferredSink(ComplainingSink, Protocol):
    """A sink that waits for nothing, and delivers in its own time."""

    def progress(self) -> Progress:
        """How far it has come."""


@runtime_checkable
class CodedSink(DeferredSink, Protocol):
    """One that takes results as they are coded."""

    def write_result(
        self, source_id: str, epoch: int, seq: int, payload: bytes, *, gap_before: int, place: Place | None
    ) -> None:
        """Take a result coded as of kind `all`; `place` where it is published too."""

    def write_gap(self, gap: Gap, *, place: Place | None) -> None:
        """Take a gap."""

    def over(self, source_id: str, epoch: int, captured: int) -> None:
        """Hear that an epoch is over, and how many frames it had."""
