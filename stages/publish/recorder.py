"""Pictures into an H.264 MP4 file, each at its own time."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Final

import av
import cv2
import numpy as np

from pipeline.errors import SinkError
from pipeline.messages import FrameResult, UInt8
from stages.publish.until_full import UntilFull

FINEST: Final = 90_000  # ticks a second; finer source clocks are rounded to this
NOMINAL_RATE: Final = 30  # for x264's level and rate control; times are the source's own
KEYFRAME_EVERY: Final = 60  # frames: what is lost at most when the process is killed
# Written in fragments, which a killed process leaves readable, and given a plain index when closed; B-frames without
# an edit list, so that the first picture is at 0.
MOVFLAGS: Final = "hybrid_fragmented+frag_keyframe+negative_cts_offsets"
QUALITY: Final = {"crf": "20", "preset": "veryfast"}


class Timeline:
    """Output times, in ticks from 0, for the results of one source; they only grow, across epochs too."""

    def __init__(self, first: FrameResult) -> None:
        fine = first.pts is None or first.time_base.denominator > FINEST
        self.time_base = Fraction(1, FINEST) if fine else first.time_base
        self.step = max(1, round(Fraction(1, NOMINAL_RATE) / self.time_base))  # between the last two frames
        self._epoch = first.epoch
        self._offset = -self._source_ticks(first)
        self._last: int | None = None

    def _source_ticks(self, result: FrameResult) -> int:
        if result.pts is None:
            return round(Fraction(result.capture_time_ns, 10**9) / self.time_base)
        return round(result.pts * result.time_base / self.time_base)

    def tick(self, result: FrameResult) -> int:
        """The time of the next result. A new epoch, or a clock that went back, follows on one frame later."""
        ticks = self._source_ticks(result)
        at = ticks + self._offset
        if self._last is not None:
            if result.epoch != self._epoch or at <= self._last:
                at = self._last + self.step
                self._offset, self._epoch = at - ticks, result.epoch
            self.step = at - self._last
        self._last = at
        return at


class VideoRecorder:
    """An MP4 file being written; readable up to the last seconds even if the process is killed.

    Raises `SinkError` naming the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        time_base: Fraction,
        option: str = "--annotate",
    ) -> None:
        """`width` and `height` are of the pictures to come; the file's are the next even ones.

        `option` chooses the place; what the message of a disk that is full names.
        """
        self.path, self._option = os.fspath(path), option
        self.width, self.height = width + width % 2, height + height % 2
        self._matrix = "ITU709" if height >= 720 else "ITU601"
        self._time_base = time_base
        self._duration = 0
        self._closed = False
        try:
            self._file = UntilFull(self.path)
        except OSError as exc:
            raise self._error(exc) from exc
        try:
            self._container = av.open(
                self._file, "w", format="mp4", options={"movflags": MOVFLAGS, "flush_packets": "1"}
            )
            self._stream = self._container.add_stream("libx264", rate=NOMINAL_RATE, options=dict(QUALITY))
            context = self._stream.codec_context
            context.width, context.height, context.pix_fmt = self.width, self.height, "yuv420p"
            context.time_base, context.gop_size = time_base, KEYFRAME_EVERY
            context.color_range = 1  # limited
            context.colorspace = context.color_primaries = context.color_trc = 1 if self._matrix == "ITU709" else 6
            self._container.start_encoding()
        except (av.FFmpegError, OSError) as exc:
            self._file.close()
            raise self._error(exc) from exc

    def write(self, rgb: UInt8, *, tick: int, duration: int) -> None:
        """Add a picture [H, W, 3] at `tick`, in units of the time base; one of another size is fitted in."""
        if self._closed:
            raise SinkError(f"{self.path}: cannot be written: it is closed")
        frame = av.VideoFrame.from_ndarray(fit(rgb, self.width, self.height), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=self._matrix, src_color_range="JPEG", dst_color_range="MPEG"
        )
        frame.pts, frame.time_base, self._duration = tick, self._time_base, duration
        self._mux(frame)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                packet.duration = self._duration  # of the last packet: the encoder would put the nominal rate
                self._container.mux(packet)
                self._file.is_whole()  # a fragment is written by the packet that ends it, all at once
        except (av.FFmpegError, OSError) as exc:
            self._abandon()
            raise self._error(exc) from exc

    def _abandon(self) -> None:
        """Close a file that takes no more; what it holds stays readable."""
        self._closed = True
        try:
            self._container.close()
        except (av.FFmpegError, OSError):
            return  # the fragments before it do not need the trailer
        finally:
            self._file.close()

    def close(self) -> None:
        """Write what the encoder holds and the index. Calling it twice does no harm."""
        if self._closed:
            return
        self._mux(None)
        self._closed = True
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as exc:
            raise self._error(exc) from exc
        finally:
            self._file.close()

    def _error(self, exc: Exception) -> SinkError:
        reason = getattr(exc, "strerror", None) or exc
        return SinkError(f"{self.path}: cannot be written: {reason}; choose another place with {self._option}")


def fit(rgb: UInt8, width: int, height: int) -> UInt8:
    """A picture brought to `width` x `height`: the last row and column repeated, or scaled and set on black."""
    given_height, given_width = rgb.shape[:2]
    if (given_width, given_height) == (width, height):
        return rgb
    if 0 <= width - given_width <= 1 and 0 <= height - given_height <= 1:
        edges = (0, height - given_height, 0, width - given_width)
        return np.asarray(cv2.copyMakeBorder(rgb, *edges, cv2.BORDER_REPLICATE))
    scale = min(width / given_width, height / given_height)
    inner = max(1, round(given_width * scale)), max(1, round(given_height * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    fitted = np.zeros((height, width, 3), dtype=np.uint8)
    fitted[top : top + inner[1], left : left + inner[0]] = cv2.resize(rgb, inner, interpolation=cv2.INTER_AREA)
    return fitted
