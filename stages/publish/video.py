"""An annotated video of each source: its frames with their results drawn over them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from pipeline.errors import SinkError
from pipeline.messages import FrameResult, Gap, SourceStatus, Surface
from stages.publish.draw import draw
from stages.publish.recorder import Timeline, VideoRecorder
from stages.publish.rgb import rgb_of
from stages.publish.trails import Trails, moment

NOTICE_SECONDS: Final = 1.0  # how long a gap is told of


class SourceVideo:
    """The video of one source."""

    def __init__(
        self, path: Path, first: FrameResult, *, timeline: Timeline | None = None, option: str = "--annotate"
    ) -> None:
        """`timeline` and `option` are those of a caller who knows better: see `VideoRecorder`."""
        self._timeline = timeline or Timeline(first)
        self._recorder = VideoRecorder(
            path, width=first.width, height=first.height, time_base=self._timeline.time_base, option=option
        )
        self._trails = Trails()
        self._notice = ""
        self._notice_from = 0.0

    def write(self, result: FrameResult, surface: Surface, lost: str) -> None:
        """Draw and add one frame; `lost` tells of frames missing just before it."""
        self._trails.update(result)
        if lost:
            self._notice, self._notice_from = lost, moment(result)
        elif not 0 <= moment(result) - self._notice_from <= NOTICE_SECONDS:
            self._notice = ""
        picture = draw(rgb_of(surface), result, self._trails, notice=self._notice)
        tick = self._timeline.tick(result)
        self._recorder.write(picture, tick=tick, duration=self._timeline.step)

    def close(self) -> None:
        """Finish the file."""
        self._recorder.close()


class AnnotatedVideoSink:
    """Draws results into MP4 files: H.264, each frame at its own time on the source's time line.

    Frames without a result are not in the video; a gap is told of in the caption for a second.
    """

    name: Literal["video"] = "video"
    needs_surface: Literal[True] = True

    def __init__(self, path: str | os.PathLike[str], *, several: bool = False) -> None:
        """With `several` sources each gets a file of its own: `path` with ``-<source_id>`` before the suffix.

        Raises `SinkError` where no file can be written, or it is not named as an MP4.
        """
        self._path, self._several = Path(path), several
        self._videos: dict[str, SourceVideo] = {}
        self._lost: dict[str, list[Gap]] = {}
        self._finished: Counter[str] = Counter()  # videos of sources that were removed
        self._failed: dict[str, SinkError] = {}  # sources whose file could not be opened
        if self._path.suffix.lower() not in (".mp4", ".m4v", ".mov"):
            raise SinkError(f"{path}: --annotate writes MP4; a name that ends in .mp4 is needed")
        _check_place(self._path)

    def path_of(self, source_id: str) -> Path:
        """Where the video of a source goes; of one that was removed and came again, behind its earlier ones."""
        path = self._path.with_stem(f"{self._path.stem}-{source_id}") if self._several else self._path
        before = self._finished[source_id]
        return path.with_stem(f"{path.stem}-{before + 1}") if before else path

    def write(self, item: FrameResult | Gap | SourceStatus, surface: Surface | None = None) -> None:
        """Draw a result over its picture, `surface`. Raises `SinkError`."""
        if isinstance(item, Gap):
            self._lost.setdefault(item.source_id, []).append(item)
        elif isinstance(item, FrameResult) and surface is not None:
            video = self._videos.get(item.source_id) or self._open(item)
            video.write(item, surface, told(self._lost.pop(item.source_id, [])))
        elif isinstance(item, SourceStatus) and item.state == "REMOVED":
            self._finish(item.source_id)

    def _finish(self, source_id: str) -> None:
        """A source is gone: so is its file. Raises `SinkError`."""
        self._lost.pop(source_id, None)
        self._failed.pop(source_id, None)
        video = self._videos.pop(source_id, None)
        if video is not None:
            self._finished[source_id] += 1
            video.close()

    def _open(self, first: FrameResult) -> SourceVideo:
        source_id = first.source_id
        if source_id in self._failed:
            raise self._failed[source_id]  # to start an encoder for every frame would cost more than the run
        try:
            if not self._several and {*self._videos, *self._finished} - {source_id}:
                raise SinkError(f"{self._path}: one file cannot hold two sources, {source_id!r} beside another")
            self._videos[source_id] = SourceVideo(self.path_of(source_id), first)
        except SinkError as exc:
            self._failed[source_id] = exc
            raise
        return self._videos[source_id]

    def close(self) -> None:
        """Finish all files. Calling it twice does no harm. Raises the `SinkError` of the last that could not be."""
        failure: SinkError | None = None
        for video in self._videos.values():
            try:
                video.close()
            except SinkError as exc:
                failure = exc
        if failure is not None:
            raise failure


def _check_place(path: Path) -> None:
    """Find out now what would otherwise be known at the first frame. Raises `SinkError`."""
    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as exc:
        raise SinkError(f"{path}: cannot be written: {exc.strerror}; choose another place with --annotate") from exc


def told(gaps: Sequence[Gap]) -> str:
    """Frames lost and why, in a few words; nothing for no gaps."""
    if not gaps:
        return ""
    count = sum(gap.count for gap in gaps)
    reasons = ", ".join(dict.fromkeys(gap.reason.replace("_", " ") for gap in gaps))
    return f"{count} frame{'s' if count > 1 else ''} lost: {reasons}"
