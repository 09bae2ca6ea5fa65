"""The report's pictures, as data that stands in the page itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.messages import FrameResult, UInt8
from stages.exports.entry import Box, Job
from stages.exports.pictures import Place, pictures_at
from stages.exports.report_tally import Tally, TrackTally
from stages.publish.draw import draw
from stages.publish.pictures import jpeg_of
from stages.publish.rgb import rgb_of

LARGE_WIDTH: Final = 960
THUMB_WIDTH, THUMB_HEIGHT = 240, 180
QUALITY: Final = 82
MARGIN: Final = 0.2  # around a thing, of its box


@dataclass(slots=True)
class ReportPictures:
    """Each as ``data:`` address; what the recording does not give is missing."""

    busiest: str = ""  # the frame with the most objects, drawn on
    scene: str = ""  # a frame of the middle, where there is no object in any
    heat: str = ""
    tracks: dict[int, str] = field(default_factory=dict)  # by the track's number


def report_pictures(tally: Tally, tracks: Iterable[TrackTally], job: Job) -> ReportPictures:
    """The pictures of a whole recording. Raises `SourceError`, `Stopped`."""
    wanted: dict[Place, list[TrackTally]] = {}
    for track in tracks:
        wanted.setdefault(track.best_place, []).append(track)
    scene = tally.scene()
    busiest = tally.busiest if tally.most else None
    moment = None if busiest is None else Place(busiest.epoch, busiest.seq, busiest.pts)
    places = {place for place in (*wanted, scene, moment) if place is not None}
    made = ReportPictures()
    for place, surface in pictures_at(places, job, by_time=not tally.broken):
        rgb = rgb_of(surface)
        for track in wanted.get(place, ()):
            made.tracks[track.number] = data_address(thumbnail(rgb, track.best_box))
        if place == moment and busiest is not None:
            made.busiest = _drawn(rgb, busiest)
        if place == scene and not tally.most:
            made.scene = data_address(_fitted(rgb))
        elif place == scene:
            made.heat = data_address(heated(_fitted(rgb), tally.heat.counts()))
    return made


def _drawn(rgb: UInt8, result: FrameResult) -> str:
    same = rgb.shape[:2] == (result.height, result.width)
    return data_address(_fitted(draw(rgb, result))) if same else ""


def thumbnail(rgb: UInt8, box: Box) -> UInt8:
    """What a box holds and a little around it, as 4:3."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = box
    wide, high = (right - left) * (1 + 2 * MARGIN), (bottom - top) * (1 + 2 * MARGIN)
    ratio = THUMB_WIDTH / THUMB_HEIGHT
    wide = min(max(wide, high * ratio, 16.0), width, height * ratio)
    high = wide / ratio
    x = min(max((left + right - wide) / 2, 0.0), width - wide)
    y = min(max((top + bottom - high) / 2, 0.0), height - high)
    columns, rows = max(1, round(wide)), max(1, round(high))
    cut = rgb[round(y) : round(y) + rows, round(x) : round(x) + columns]
    way = cv2.INTER_AREA if columns > THUMB_WIDTH else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, (THUMB_WIDTH, THUMB_HEIGHT), interpolation=way), dtype=np.uint8)


def heated(rgb: UInt8, counts: npt.NDArray[np.int64]) -> UInt8:
    """The picture without its colours, and over it where objects were: the more, the brighter."""
    height, width = rgb.shape[:2]
    grey: npt.NDArray[np.float32] = (
        np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)[..., None] * 0.75
    )
    share = np.sqrt(counts / max(1, int(counts.max(initial=0)))).astype(np.float32)
    wide = cv2.GaussianBlur(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR), (0, 0), 6)
    smooth: npt.NDArray[np.float32] = np.clip(np.asarray(wide, dtype=np.float32), 0, 1)
    colours = cv2.applyColorMap((smooth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = (np.clip(smooth * 1.6, 0, 0.78))[..., None]
    return np.asarray(grey * (1 - opacity) + colours[..., ::-1] * opacity, dtype=np.uint8)


def _fitted(rgb: UInt8) -> UInt8:
    """Not wider than the page."""
    height, width = rgb.shape[:2]
    if width <= LARGE_WIDTH:
        return rgb
    size = (LARGE_WIDTH, max(1, round(height * LARGE_WIDTH / width)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def data_address(rgb: UInt8) -> str:
    """The picture [H, W, 3] as a JPEG in a ``data:`` address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_of(rgb, quality=QUALITY)).decode()
