"""The recording with its results drawn on it, and its sound."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Final

from pipeline.errors import SinkError
from pipeline.messages import FrameResult, Gap
from stages.exports.entry import Entry, Job
from stages.exports.place import Part, written
from stages.exports.sound import Span, add_sound
from stages.publish.recorder import FINEST, NOMINAL_RATE, Timeline
from stages.publish.video import SourceVideo, told

OPTION: Final = "--output"


class VideoExport:
    """`annotated.mp4`: H.264, each frame at its own time, the recording's sound beside it."""

    wants_pictures = True

    def __init__(self, job: Job) -> None:
        """Raises `SinkError`."""
        self._job = job
        self._whole = Part(job.folder / "annotated.mp4")
        self._drawn = Part(job.folder / "annotated.drawn.mp4")  # without sound; never in place
        self._video: SourceVideo | None = None
        self._timeline: RecordingTimeline | None = None
        self._lost: list[Gap] = []

    def add(self, entry: Entry) -> None:
        """Draw one frame. Raises `SinkError`."""
        if isinstance(entry.item, Gap):
            self._lost.append(entry.item)
            return
        assert entry.surface is not None  # as `wants_pictures` says
        if self._video is None:
            self._timeline = RecordingTimeline(entry.item, several=len(self._job.videos) > 1)
            self._video = SourceVideo(self._drawn.part, entry.item, timeline=self._timeline, option=OPTION)
        self._video.write(entry.item, entry.surface, told(self._lost))
        self._lost.clear()

    def finish(self) -> None:
        """The file into its place; none where there was no result. Raises `SinkError`, `SourceError`, `Stopped`."""
        if self._video is None or self._timeline is None:
            return
        self._video.close()
        span = self._timeline.span
        if span is None or not add_sound(self._drawn.part, self._whole.part, self._job, span):
            with written(self._whole.path):
                self._drawn.part.replace(self._whole.part)
        self._whole.into_place()
        self._drawn.discard()

    def abandon(self) -> None:
        """Throw away what is not in place."""
        if self._video is not None:
            with suppress(SinkError):  # what its encoder still held does not fit on the disk
                self._video.close()
        self._whole.discard()
        self._drawn.discard()


class RecordingTimeline(Timeline):
    """Times by the capture clock, which for a recording is its time stamps, and goes on over changes of epoch.

    What lies between two of several files is left out.
    """

    def __init__(self, first: FrameResult, *, several: bool = False) -> None:
        """Begins with the first result."""
        self.time_base = Fraction(1, FINEST)
        self.step = FINEST // NOMINAL_RATE
        self._first, self._several = first, several
        self._start_ns = first.capture_time_ns
        self._last: int | None = None
        self._last_pts = first.pts
        self._broken = first.pts is None

    @property
    def span(self) -> Span | None:
        """What of the recording's own time line it is; None where that is broken, of several files, or not told."""
        if self._broken or self._several or self._first.pts is None or self._last is None:
            return None
        start = self._first.pts * self._first.time_base
        return Span(start, start + (self._last + self.step) * self.time_base)

    def tick(self, result: FrameResult) -> int:
        """The time of the next result."""
        at = self._at(result)
        if self._last is not None:
            if self._several and result.discontinuity:
                self._start_ns += round((at - self._last - self.step) * self.time_base * 10**9)
                at = self._last + self.step
            at = max(at, self._last + 1)
            self.step = at - self._last
            self._broken |= result.pts is None or self._last_pts is None or result.pts <= self._last_pts
        self._last, self._last_pts = at, result.pts
        return at

    def _at(self, result: FrameResult) -> int:
        return round(Fraction(result.capture_time_ns - self._start_ns, 10**9) / self.time_base)
