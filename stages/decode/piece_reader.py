"""Reading a piece of a recording: from a keyframe on, and past its end until all that is shown before it has come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.config import SourceConfig
from pipeline.messages import Counted, Piece, Surface
from pipeline.stage import Access
from stages.decode.container import Opened, open_container
from stages.decode.faults import FOREIGN
from stages.decode.reader import REORDERED, VideoReader
from stages.decode.survey import about

_MOST_SOUGHT = 1000  # packets until a keyframe after seeking


@dataclass(frozen=True, slots=True, eq=False)
class Pictured:
    """A decoded picture, not yet numbered."""

    surface: Surface
    pts: int | None
    size: tuple[int, int]  # width and height as coded, before any rotation


class PieceReader(VideoReader):
    """Pictures of a piece, in presentation order, and the counts that add up to those of the whole recording."""

    def __init__(self, source: SourceConfig, piece: Piece, *, access: Access | None = None) -> None:
        """Raises `SourceError`, `AddressError` where it cannot be opened."""
        address = source.url  # a path: nothing in it is a variable
        opened = open_container(source, address, access=access)
        before: list[Packet[VideoStream]] = []
        if piece.key_pts is not None:
            found = _sought(opened, piece)
            if found is None:  # the container finds its way to another place: read from the beginning
                opened.container.close()
                opened = open_container(source, address, access=access)
            else:
                before = [found]
        self.about = about(opened, source)
        super().__init__(
            opened,
            source=source,
            address=address,
            next_epoch=itertools.count(1).__next__,
            piece=piece,
            before=before,
        )

    def pictures(self) -> Iterator[Pictured]:
        """Its pictures. Raises `NoDecodableFrames` where it is the whole recording, and there is none."""
        shown = self._pictures()
        for picture in _in_order(shown) if self._piece.keys_only else shown:
            surface = self._converted(picture)
            if surface is not None:
                self._count.damaged += picture.is_corrupt
                yield Pictured(surface, picture.pts, (picture.width, picture.height))

    @property
    def counted(self) -> Counted:
        """What reading it came to."""
        return self._count.counted


def _in_order(pictures: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Keyframes alone come as the decoder likes where they only refresh the picture; by their time stamps."""
    held: list[VideoFrame] = []
    for picture in pictures:
        held.append(picture)
        held.sort(key=_time_of)  # of equal ones as they came
        if len(held) > REORDERED:
            yield held.pop(0)
    yield from held


def _time_of(picture: VideoFrame) -> int:
    return picture.pts or 0


def _sought(opened: Opened, piece: Piece) -> Packet[VideoStream] | None:
    """The keyframe that decoding begins with; None where the container leads past it."""
    assert piece.key_pts is not None
    try:
        opened.container.seek(piece.key_dts or piece.key_pts, stream=opened.stream)
        for packet in itertools.islice(opened.container.demux(opened.stream), _MOST_SOUGHT):
            if packet.is_keyframe and packet.size:
                return packet if packet.pts is not None and packet.pts <= piece.key_pts else None
    except FOREIGN:
        pass
    return None
