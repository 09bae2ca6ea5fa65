"""What a probe counts while packets, pictures and frames go by."""

from __future__ import annotations

import statistics
import time
from collections import deque

from av.packet import Packet
from av.video.format import VideoFormat
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from pipeline.messages import Frame
from pipeline.messages.findings import Findings, KeyframeFindings, StreamFindings
from stages.decode.container import Opened
from stages.decode.measure import NS, Keyframes, Rate
from stages.decode.nvdec_limits import nvdec_refusal
from stages.decode.reader import stream_info

ENOUGH_KEYFRAMES = 3  # of a file, which need not be watched for longer than it takes to know it
_OFFSETS_KEPT = 1000
_SUBSAMPLING = {(4, 4): "4:4:4", (4, 2): "4:4:0", (2, 4): "4:2:2", (2, 2): "4:2:0", (1, 4): "4:1:1", (1, 1): "4:1:0"}


class Watch:
    """Counts what goes by; bounded in memory, however long it goes on."""

    def __init__(self, opened: Opened, *, live: bool, began_ns: int) -> None:
        """`began_ns`: when opening began, on the monotonic clock."""
        self._opened, self._live, self._began_ns = opened, live, began_ns
        self._opened_ns = time.monotonic_ns()
        self.to_the_end = False
        self._packets = self._bytes = 0
        self._keyframes = Keyframes()
        self._format: VideoFormat | None = opened.stream.codec_context.format
        self._b_frames = self._interlaced = False
        self._rotation = 0
        self._frames = self._jumps = self._resized = 0
        self._first_ns = self._first_cpu_ns = self._last_cpu_ns = 0
        self._last: Frame | None = None
        self._by_pts, self._by_arrival = Rate(), Rate()
        self._ahead_ns: deque[int] = deque(maxlen=_OFFSETS_KEPT)
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()

    def saw_packet(self, packet: Packet[VideoStream]) -> None:
        """A packet, before it is decoded."""
        self._packets += 1
        self._bytes += packet.size
        self._keyframes.saw(is_keyframe=packet.is_keyframe)

    def saw_picture(self, picture: VideoFrame) -> None:
        """A picture as the decoder gave it."""
        self._format, self._rotation = picture.format, round(picture.rotation)
        self._b_frames = self._b_frames or picture.pict_type == PictureType.B
        self._interlaced = self._interlaced or bool(picture.interlaced_frame)

    def saw_frame(self, frame: Frame) -> None:
        """A frame as the pipeline would have it."""
        last, self._last = self._last, frame
        self._last_cpu_ns = time.process_time_ns()
        if last is None:
            self._first_ns, self._first_cpu_ns = time.monotonic_ns(), self._last_cpu_ns
        # A change of clock is flagged as a break too; the stream itself has jumped only under the same clock.
        jumped = last is not None and frame.discontinuity and frame.clock == last.clock
        self._frames += 1
        self._jumps += jumped
        self._resized += last is not None and (frame.width, frame.height) != (last.width, last.height)
        self._by_arrival.saw(frame.arrival_monotonic_ns)
        if frame.pts is not None:
            self._by_pts.saw(int(frame.pts * frame.time_base * NS), jumped=jumped)
        if frame.clock == "rtcp":
            self._ahead_ns.append(frame.capture_time_ns - frame.arrival_monotonic_ns - self._wall_offset_ns)

    def is_enough(self, seconds: float) -> bool:
        """Whether the source was watched for long enough; of a file, so much of it will do as shows its keyframes."""
        if self._watched_seconds >= seconds:
            return True
        rate = self._rate.per_second
        if self._live or rate is None or self._keyframes.count < ENOUGH_KEYFRAMES:
            return False
        return self._frames >= rate * seconds

    @property
    def _watched_seconds(self) -> float:
        return (self._last.arrival_monotonic_ns - self._first_ns) / NS if self._last else 0.0

    @property
    def _rate(self) -> Rate:
        return self._by_pts if self._by_pts.per_second or not self._live else self._by_arrival

    def findings(self, *, undecoded: int, damaged: int) -> Findings:
        """What is known so far."""
        rate, last, stream = self._rate, self._last, self._stream_findings()
        per_second = rate.per_second or stream.declared_rate
        return Findings(
            live=self._live,
            stream=stream,
            keyframes=KeyframeFindings(
                count=self._keyframes.count,
                interval_frames=self._keyframes.usual,
                interval_seconds=_over(self._keyframes.usual, per_second),
                longest_seconds=_over(self._keyframes.longest, per_second),
            ),
            open_seconds=(self._opened_ns - self._began_ns) / NS,
            first_frame_seconds=(self._first_ns - self._began_ns) / NS if last else None,
            watched_seconds=self._watched_seconds,
            frames=self._frames,
            undecoded=undecoded,
            damaged=damaged,
            to_the_end=self.to_the_end,
            measured_rate=rate.per_second,
            arrival_rate=self._by_arrival.per_second if self._live else None,
            varying_rate=rate.varies and rate is self._by_pts,
            b_frames=self._b_frames,
            held_back_frames=self._opened.stream.codec_context.reorder_depth if self._b_frames else 0,
            resized=self._resized,
            clock=last.clock if last else None,
            clock_jumps=self._jumps,
            camera_ahead_seconds=statistics.median(self._ahead_ns) / NS if self._ahead_ns else None,
            bit_rate=self._bytes * 8 / self._packets * per_second if per_second and self._packets else None,
            cpu_ms_a_frame=self._cpu_ms_a_frame,
        )

    def _stream_findings(self) -> StreamFindings:
        stream, codec = self._opened.stream, self._opened.stream.codec_context
        declared = stream_info(stream, live=self._live)
        chroma, bits = chroma_of(self._format), bits_of(self._format)
        return StreamFindings(
            container=self._opened.container.format.name,
            codec=declared.codec,
            profile=codec.profile,
            decoder=codec.codec.name,
            width=codec.width,
            height=codec.height,
            pixel_format=self._format.name if self._format else None,
            bits=bits,
            chroma=chroma,
            interlaced=self._interlaced,
            rotation=self._rotation,
            nvdec_refuses=nvdec_refusal(
                codec=declared.codec, bits=bits, chroma=chroma, width=codec.width, height=codec.height
            ),
            declared_rate=float(declared.frame_rate) if declared.frame_rate else None,
            declared_frames=declared.frame_count,
            declared_seconds=None if self._live else declared_seconds(self._opened),
        )

    @property
    def _cpu_ms_a_frame(self) -> float | None:
        if self._frames < 2:
            return None
        return (self._last_cpu_ns - self._first_cpu_ns) / 1e6 / (self._frames - 1)


def chroma_of(pixels: VideoFormat | None) -> str | None:
    """How much colour there is: 4:2:0 and the like, gray, or rgb."""
    if pixels is None:
        return None
    if pixels.is_rgb:
        return "rgb"
    if len(pixels.components) < 3:
        return "gray"
    return _SUBSAMPLING.get((pixels.chroma_width(16) // 4, pixels.chroma_height(16) // 4))


def bits_of(pixels: VideoFormat | None) -> int | None:
    """Bits a sample."""
    return pixels.components[0].bits if pixels is not None and pixels.components else None


def declared_seconds(opened: Opened) -> float | None:
    """How long a file says its video is."""
    stream, container = opened.stream, opened.container
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration is not None else None


def _over(frames: int | None, rate: float | None) -> float | None:
    return frames / rate if frames is not None and rate else None
