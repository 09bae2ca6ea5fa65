"""Reading an opened source: packets to frames, with their identity, their time, and a count of what was lost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.config import SourceConfig, is_live
from pipeline.errors import NoDecodableFrames
from pipeline.messages import Counted, Frame, Piece, Surface
from pipeline.stage import StreamInfo
from stages.decode.capture_time import NS, recording_start_ns
from stages.decode.container import Opened
from stages.decode.faults import FOREIGN, TIMEOUT_SLACK, named, of_pipes, reading_fault
from stages.decode.frame_maker import FrameMaker
from stages.decode.sender_reports import ReportReader
from stages.decode.surface import SurfaceMaker

REORDERED = 16  # pictures, the most that H.264 and HEVC hold back; after damage one may come as late
_MOST_FRAMES_A_SECOND = 1000  # a declared rate above is a time base in disguise

# Live streams of these carry no time; FFmpeg numbers their frames at 25 a second, whatever the camera does.
UNTIMED_FORMATS = frozenset({"mpjpeg", "mjpeg"})


class VideoReader:
    """Frames of one opened source, in presentation order; a `pipeline.stage.Reader`.

    One thread opens, iterates and closes. A file ends with the iteration, whatever could not be read of it in
    `undecoded`; a live source never ends: iterating raises `NoDecodableFrames` or `SourceUnreachable`.
    Deadlines are counted on `monotonic_ns`; `wall_ns`, nanoseconds since 1970, is read once, at the start.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        source: SourceConfig,
        address: str,
        next_epoch: Callable[[], int],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        piece: Piece = Piece(),  # noqa: B008 - frozen
        before: Sequence[Packet[VideoStream]] = (),
    ) -> None:
        """`piece`: of a file that is read from its keyframe on; `before`: packets that were read of it already."""
        self._container = opened.container
        self._stream = opened.stream
        self._codec = opened.stream.codec_context
        self._source = source
        self._live, self._hint = is_live(address), of_pipes(address)
        self._surface = SurfaceMaker(codec=self._codec.name)
        self._packets = chain(before, self._container.demux(self._stream))
        self._piece, self._past = piece, 0  # pictures after its end
        self._count = _Count(declared=declared_packets(opened))
        timed = not (self._live and self._container.format.name in UNTIMED_FORMATS)
        self._closed = False
        self._info = stream_info(self._stream, live=self._live)
        self._monotonic_ns = monotonic_ns
        self._frames = FrameMaker(
            source.source_id,
            live=self._live,
            timed=timed,
            reported=self._container.format.name == "rtsp",
            time_base=opened.stream.time_base or Fraction(1, NS),
            rate=self._info.frame_rate,
            start_ns=recording_start_ns(self._container.metadata, told=source.began),
            next_epoch=next_epoch,
            wall_offset_ns=wall_ns() - monotonic_ns(),
        )
        self._reports = ReportReader() if self._container.format.name == "rtsp" else None

    @property
    def info(self) -> StreamInfo:
        """The stream, as declared at opening or since the last change of size."""
        return self._info

    @property
    def undecoded(self) -> int:
        """Packets so far that gave no frame; at the end also those that a file declares and does not hold."""
        return self._count.undecoded

    @property
    def damaged(self) -> int:
        """Frames so far that the decoder had to guess parts of, where it tells so: see README.md."""
        return self._count.damaged

    @property
    def received_bytes(self) -> int:
        """Bytes of video packets so far."""
        return self._count.received_bytes

    def __iter__(self) -> Iterator[Frame]:
        """Frames in presentation order. Raises `SourceError` where a live source fails, or nothing can be decoded."""
        for picture in self._pictures():
            surface = self._converted(picture)
            if surface is not None:
                self._count.damaged += picture.is_corrupt
                yield self._frame(picture, surface)

    def close(self) -> None:
        """Release the container; from the thread that reads. Calling it twice does no harm."""
        if not self._closed:
            self._closed = True
            self._container.close()

    def _pictures(self) -> Iterator[VideoFrame]:
        """Decoded pictures until the end of a file, or the failure of a live source."""
        limit_ns = self._source.read_timeout_seconds * TIMEOUT_SLACK * NS if self._live else math.inf
        silent_ns = 0  # spent without a picture here, not what the consumer takes between two
        while not self._closed:
            asked_ns = self._monotonic_ns()
            packet = self._read()
            if packet is not None:
                self._hear(packet)
            pictures = self._decode(packet)
            waited_ns = self._monotonic_ns() - asked_ns
            yield from pictures
            # After a timeout FFmpeg still hands out the picture it held back, which is no sign of life.
            silent_ns = waited_ns if pictures else silent_ns + waited_ns
            if self._past >= REORDERED:
                return self._count.finish()
            if packet is None or silent_ns >= limit_ns:
                break
            if pictures:
                silent_ns = 0
        if self._closed:
            return
        if packet is not None:
            yield from self._decode(None)
        self._count.finish()
        self._check_end(silent_seconds=silent_ns / NS, timed_out=silent_ns >= limit_ns)

    def _check_end(self, *, silent_seconds: float, timed_out: bool) -> None:
        """Raise the `SourceError` that the end is: for a live source always, for a file that gave no frame."""
        frames = self._count.frames
        if self._live:
            silent = silent_seconds if timed_out else None
            raise reading_fault(source=self._source, frames=frames, silent_seconds=silent)
        if frames == 0 and self._piece.is_whole:
            raise NoDecodableFrames(
                f"{named(self._source)} holds {self._info.codec} video, but no frame of it can be decoded"
                f" ({self._count.undecoded} packets){self._hint}"
            )

    def _read(self) -> Packet[VideoStream] | None:
        """The next packet; None at the end, which a fault in the stream is too."""
        try:
            for packet in self._packets:
                if self._piece.keys_only and not packet.is_keyframe:
                    continue
                if packet.size:  # an empty one, as in an AVI with pauses, would tell the decoder that this is the end
                    return packet
        except FOREIGN:
            self._count.lost_rest = not self._live
        return None

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """Pictures that are finished with this packet, or with the stream (None)."""
        if packet is not None:
            self._count.received_bytes += packet.size
            is_ours = self._piece.holds(packet.pts)
            if is_ours:
                self._count.add(shown=not packet.is_discard)
            if packet.is_corrupt:
                self._count.failed += is_ours
                return []
        try:
            pictures = self._codec.decode(packet)
        except FOREIGN:
            self._count.failed += packet is not None and is_ours
            return []
        self._past += sum(self._piece.is_before(picture.pts) for picture in pictures)
        held = [picture for picture in pictures if self._piece.holds(picture.pts)]
        self._count.frames += len(held)
        return held

    def _converted(self, picture: VideoFrame) -> Surface | None:
        """The picture's surface; None, and counted, where FFmpeg cannot convert it."""
        try:
            return self._surface(picture)
        except FOREIGN:
            self._count.frames -= 1
            self._count.failed += 1
            return None

    def _frame(self, picture: VideoFrame, surface: Surface) -> Frame:
        info = self._info
        if (surface.width, surface.height) != (info.width, info.height):
            shown = (surface.width, surface.height)
            self._info = StreamInfo(info.codec, *shown, frame_rate=info.frame_rate, frame_count=info.frame_count)
        size = (picture.width, picture.height)
        return self._frames.frame(surface, pts=picture.pts, size=size, now_ns=self._monotonic_ns())

    def _hear(self, packet: Packet[VideoStream]) -> None:
        """Take in the camera's report of its own clock that came before this packet, if one did."""
        report = None if self._reports is None else self._reports.read(packet)
        if report is not None:
            self._frames.hear(report, now_ns=self._monotonic_ns())


class _Count:
    """Packets in, frames out."""

    def __init__(self, *, declared: int) -> None:
        self.frames = 0
        self.failed = 0
        self.damaged = 0
        self.received_bytes = 0
        self.lost_rest = False  # a file broke off where nothing tells how much is missing
        self._packets = 0  # that are shown
        self._hidden = 0  # that are not
        self._declared = declared  # packets of the whole file; 0: unknown
        self._finished = False

    @property
    def counted(self) -> Counted:
        """As numbers."""
        return Counted(
            frames=self.frames,
            packets=self._packets,
            hidden=self._hidden,
            damaged=self.damaged,
            lost_rest=self.lost_rest,
            declared=self._declared,
        )

    @property
    def undecoded(self) -> int:
        """Packets known to have failed; at the end all without a frame, those that are missing included."""
        return self.counted.undecoded if self._finished else self.failed

    def add(self, *, shown: bool) -> None:
        """A packet was read; one that its container says is not shown (an edit list) is expected to give no frame."""
        self._packets += shown
        self._hidden += not shown

    def finish(self) -> None:
        """Nothing is in the decoder any more."""
        self._finished = True


def declared_packets(opened: Opened) -> int:
    """How many packets the file says its video has, where it can be believed; else 0.

    MP4 lists every one of them. AVI counts pauses too, and the others say nothing.
    """
    return opened.stream.frames if "mp4" in opened.container.format.name.split(",") else 0


def stream_info(stream: VideoStream, *, live: bool) -> StreamInfo:
    """What the container declares of its video."""
    codec = stream.codec_context
    # Of a live stream FFmpeg has seen a frame or two when it guesses a rate; what the codec's headers say holds.
    rate = codec.framerate or stream.average_rate if live else stream.average_rate or stream.guessed_rate
    if rate is not None and not 0 < rate <= _MOST_FRAMES_A_SECOND:
        rate = None
    count = None if live else stream.frames or None
    return StreamInfo(codec.name, codec.width, codec.height, frame_rate=rate, frame_count=count)
