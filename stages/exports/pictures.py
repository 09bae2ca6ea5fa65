"""The pictures that results are of: all of them in order, or a few by their place in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pipeline.config import SourceConfig
from pipeline.errors import SourceError
from pipeline.messages import FrameResult, Piece, Surface
from stages.exports.entry import Job
from stages.exports.lines import read_items

LEAD_SECONDS: Final = 10  # before the first picture that is wanted: a keyframe or two


class Pictures:
    """The picture of each result, decoded again: found by its time stamp, in the order of the results.

    Frames without a result, such as those of a gap, of keyframes' company, or outside the time that was asked for, are
    passed over. Pictures without time stamps are counted, which needs results from the recording's beginning.
    """

    def __init__(self, job: Job) -> None:
        """Opens the recording when the first picture is asked for."""
        self._job = job
        self._decoded: Iterator[tuple[int | None, Surface]] | None = None
        self._last: FrameResult | None = None

    def of(self, result: FrameResult) -> Surface:
        """The picture of a result that comes after those asked for before. Raises `SourceError`, `Stopped`."""
        if self._decoded is None:
            self._decoded = _all_of(self._job, result)
        passed = self._passed_before(result)
        self._last = result
        for pts, surface in self._decoded:
            self._job.check()
            if (surface.width, surface.height) != (result.width, result.height) or pts != result.pts:
                continue
            if pts is not None or passed == 0:
                return surface
            passed -= 1
        raise SourceError(
            f"{self._job.shown}: frame {result.seq} of epoch {result.epoch}, {result.width}x{result.height}, is not in "
            f"it; it is not the recording that {self._job.results} is of"
        )

    def _passed_before(self, result: FrameResult) -> int:
        """Frames without a result since the last one, where only counting tells."""
        last = self._last
        return result.seq if last is None or last.epoch != result.epoch else result.seq - last.seq - 1

    def close(self) -> None:
        """Close the recording. Calling it twice does no harm."""
        close = getattr(self._decoded, "close", None)
        if close is not None:
            close()


def _all_of(job: Job, first: FrameResult) -> Iterator[tuple[int | None, Surface]]:
    """Time stamps and pictures of all files, the first from shortly before the first result on."""
    from stages.decode.piece_reader import PieceReader

    piece = Piece()
    if first.pts is not None:
        piece = Piece(key_pts=first.pts - round(LEAD_SECONDS / first.time_base))
    for video in job.videos:
        reader = None
        try:
            reader = PieceReader(source_of(job.source, video), piece)
            for picture in reader.pictures():
                yield picture.pts, picture.surface
        except SourceError:
            if len(job.videos) == 1:  # of several, one that cannot be read has no results, which is known
                raise
        finally:
            if reader is not None:
                reader.close()
        piece = Piece()


def source_of(source: SourceConfig, video: Path) -> SourceConfig:
    """The settings for this file; its address is a path, in which nothing is a variable."""
    return msgspec.structs.replace(source, url=str(video.absolute()))


class Place(NamedTuple):
    """Which frame of a recording; they sort as they come."""

    epoch: int
    seq: int
    pts: int | None


def pictures_at(places: set[Place], job: Job, *, by_time: bool = True) -> Iterator[tuple[Place, Surface]]:
    """The pictures at these places: sought by their time stamps, or, what that does not lead to, by decoding all.

    `by_time`: whether a time stamp says which frame is meant; of several files it does not. Raises `SourceError`,
    `SinkError`, `WireError`, `Stopped`.
    """
    left = set(places)
    if by_time and len(job.videos) == 1:
        for place, surface in _sought(sorted(place for place in left if place.pts is not None), job):
            left.discard(place)
            yield place, surface
    if left:
        yield from _in_order({(place.epoch, place.seq): place for place in left}, job)


def _in_order(places: dict[tuple[int, int], Place], job: Job) -> Iterator[tuple[Place, Surface]]:
    pictures = Pictures(job)
    try:
        for item in read_items(job.results):
            if not places:
                return
            if isinstance(item, FrameResult):
                surface = pictures.of(item)
                place = places.pop((item.epoch, item.seq), None)
                if place is not None:
                    yield place, surface
    finally:
        pictures.close()


def _sought(places: list[Place], job: Job) -> Iterator[tuple[Place, Surface]]:
    """Those that seeking leads to; a container that cannot, or tells a wrong time, gives fewer."""
    from stages.decode.container import open_container
    from stages.decode.faults import FOREIGN
    from stages.decode.surface import SurfaceMaker

    source = source_of(job.source, job.videos[0])
    found = open_container(source, source.url)
    try:
        make = SurfaceMaker(codec=found.stream.codec_context.name)
        for place in places:
            job.check()
            try:
                surface = _picture_at(found, place, make, job.check)
            except FOREIGN:
                continue
            if surface is not None:
                yield place, surface
    finally:
        found.container.close()


def _picture_at(found: Any, place: Place, make: Callable[[Any], Surface], check: Callable[[], None]) -> Surface | None:
    """The picture of exactly this time stamp, if it comes after the key frame before it."""
    found.container.seek(place.pts, stream=found.stream)
    for picture in found.container.decode(found.stream):
        check()
        if picture.pts is None or picture.pts > (place.pts or 0):
            return None
        if picture.pts == place.pts:
            return make(picture)
    return None
