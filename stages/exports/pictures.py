"""The pictures that results are of: all of them in order, or a few by their place in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline.config import SourceConfig, expand
from pipeline.errors import SourceError
from pipeline.messages import Frame, FrameResult, Surface
from pipeline.stage import Reader
from stages.exports.entry import Job


class Pictures:
    """Every frame of a recording, decoded again; opened when the first is asked for."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._reader: Reader | None = None
        self._frames: Iterator[Frame] = iter(())

    def of(self, result: FrameResult) -> Surface:
        """The picture of a result that comes after those asked for before. Raises `SourceError`."""
        if self._reader is None:
            self._reader = opened(self._job)
            self._frames = iter(self._reader)
        for frame in self._frames:
            self._job.check()
            place = (frame.epoch, frame.seq)
            if place == (result.epoch, result.seq) and (frame.width, frame.height) == (result.width, result.height):
                return frame.surface
            if place >= (result.epoch, result.seq):
                break
        raise SourceError(
            f"{self._job.video}: frame {result.seq} of epoch {result.epoch}, {result.width}x{result.height}, is not in "
            f"it; it is not the recording that {self._job.results} is of"
        )

    def close(self) -> None:
        """Close the recording. Calling it twice does no harm."""
        if self._reader is not None:
            self._reader.close()


def opened(job: Job) -> Reader:
    """The recording from its start; epochs count from 1, as when it was analysed. Raises `SourceError`."""
    from stages.decode import open_source

    return open_source(source_of(job.source, job.video), next_epoch=count(1).__next__)


def source_of(source: SourceConfig, video: Path) -> SourceConfig:
    """The settings for this file."""
    return msgspec.structs.replace(source, url=str(video.absolute()))


class Place(NamedTuple):
    """Which frame of a recording; they sort as they come."""

    epoch: int
    seq: int
    pts: int | None


def pictures_at(places: set[Place], job: Job) -> Iterator[tuple[Place, Surface]]:
    """The pictures at these places, found by time stamp where there is one, else by decoding from the start.

    Raises `SourceError` where the recording cannot be opened, `Stopped`.
    """
    left = set(places)
    for place, surface in _sought(sorted(place for place in left if place.pts is not None), job):
        left.discard(place)
        yield place, surface
    if left:
        yield from _in_order(left, job)


def _in_order(places: set[Place], job: Job) -> Iterator[tuple[Place, Surface]]:
    at = {(place.epoch, place.seq): place for place in places}
    reader = opened(job)
    try:
        for frame in reader:
            job.check()
            place = at.pop((frame.epoch, frame.seq), None)
            if place is not None:
                yield place, frame.surface
            if not at:
                return
    finally:
        reader.close()


def _sought(places: list[Place], job: Job) -> Iterator[tuple[Place, Surface]]:
    """Those that seeking leads to; a container that cannot, or tells a wrong time, gives fewer."""
    from stages.decode.container import open_container
    from stages.decode.faults import FOREIGN
    from stages.decode.surface import SurfaceMaker

    source = source_of(job.source, job.video)
    found = open_container(source, expand(source.url))
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
