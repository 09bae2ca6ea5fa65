"""A folder in MOTChallenge's layout: confirmed tracks, as truth to correct and as a tracker's output to evaluate."""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from typing import IO, Final

from pipeline.messages import Classes, FrameResult
from stages.exports.entry import Entry, Job
from stages.exports.place import Part, written

DEFAULT_RATE: Final = 25  # frames a second, where fewer than two frames tell none


class MotExport:
    """`mot/`: `gt/gt.txt`, `gt/labels.txt`, `tracks.txt`, `seqinfo.ini`."""

    wants_pictures = False

    def __init__(self, job: Job) -> None:
        """Raises `SinkError`."""
        self._folder = Part(job.folder / "mot")
        self._name = job.source.source_id
        self._classes: Classes | None = None
        self._size, self._frames = (0, 0), 0
        self._pace = Pace()
        with written(self._folder.path):
            self._folder.part.mkdir()
            (self._folder.part / "gt").mkdir()
            self._truth: IO[bytes] = (self._folder.part / "gt" / "gt.txt").open("wb")
            self._tracks: IO[bytes] = (self._folder.part / "tracks.txt").open("wb")

    def add(self, entry: Entry) -> None:
        """A line a confirmed track that is seen, or predicted where the network did not look. Raises `SinkError`."""
        self._name = entry.item.source_id
        self._frames = entry.number + getattr(entry.item, "count", 1)
        result = entry.result
        if result is None:
            return
        if self._classes is None:
            self._classes, self._size = result.classes, (result.width, result.height)
        self._pace.add(result, entry.number)
        with written(self._folder.path):
            for one in entry.seen:
                left, top, right, bottom = one.box
                box = f"{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f}"
                place = f"{entry.number + 1},{entry.track_number(one.track_id)},{box}"
                self._truth.write(f"{place},1,{one.label + 1},1\n".encode())
                self._tracks.write(f"{place},{one.score:.4f},-1,-1,-1\n".encode())

    def finish(self) -> None:
        """The folder into its place. Raises `SinkError`."""
        with written(self._folder.path):
            self._truth.close()
            self._tracks.close()
            names = () if self._classes is None else self._classes.names
            (self._folder.part / "gt" / "labels.txt").write_bytes(
                "".join(f"{_line(name)}\n" for name in names).encode()
            )
            (self._folder.part / "seqinfo.ini").write_bytes(self._about().encode())
        self._folder.into_place()

    def _about(self) -> str:
        width, height = self._size
        return (
            f"[Sequence]\nname={_line(self._name)}\nimDir=img1\nframeRate={self._pace.rate}\n"
            f"seqLength={self._frames}\nimWidth={width}\nimHeight={height}\nimExt=.jpg\n"
        )

    def abandon(self) -> None:
        """Throw away what is not in place."""
        for file in (self._truth, self._tracks):
            with suppress(OSError):  # what it still held does not fit on the disk
                file.close()
        self._folder.discard()


class Pace:
    """Frames a second, but for what lies between parts of a broken time line."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._duration_ns = self._frames = 0

    def add(self, result: FrameResult, number: int) -> None:
        """The next frame, and its number in the recording."""
        if self._last is not None and not result.discontinuity:
            self._duration_ns += result.capture_time_ns - self._last[0]
            self._frames += number - self._last[1]
        self._last = result.capture_time_ns, number

    @property
    def rate(self) -> str:
        """As a whole number where it is one, within a thousandth."""
        if self._duration_ns <= 0:
            return str(DEFAULT_RATE)
        rate = float(Fraction(self._frames * 10**9, self._duration_ns))
        return str(round(rate)) if abs(rate - round(rate)) < 0.001 * rate else f"{rate:.3f}"


def _line(text: str) -> str:
    """A name that fits on a line."""
    return re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+", " ", text).strip()
