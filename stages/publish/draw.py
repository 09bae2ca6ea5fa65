"""Draw a result over its picture: ground tinted, things filled and outlined, boxes, labels, ids and trails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from typing import Final

import numpy as np

from pipeline.messages import NO_TRACK, FrameResult, TrackState, UInt8
from stages.publish.caption import UNTRACKED_SCORE, caption_of, draw_caption
from stages.publish.colours import INK, WHITE, Colour, mix, stuff_colour, thing_colour
from stages.publish.layer import Layer, Points, dashes, rounded, stroke, stroke_open
from stages.publish.masks import THING_OPACITY, outlines, tinted_ground
from stages.publish.tags import Box, Tag, draw_tag, place_tags
from stages.publish.trails import Step, Trails

UNTRACKED: Final[Colour] = (214, 218, 224)  # beside coloured tracks
TRAIL_BANDS: Final = 7
LOST_OPACITY: Final = 0.55
FAINT_OPACITY: Final = 0.6  # of a box that says less than what else is drawn of its thing, or is not followed yet
HEAD: Final = 0.3  # of a box's height


@dataclass(frozen=True, slots=True)
class Style:
    """Sizes in pixels for a picture of some size."""

    line: int
    thin: int
    radius: float
    text: int

    @classmethod
    def of(cls, width: int, height: int) -> Style:
        """Sizes that look alike from 360p to 4K."""
        scale = min(width, height) / 720
        return cls(
            line=max(1, round(2 * scale)),
            thin=max(1, round(1.3 * scale)),
            radius=6 * scale,
            text=max(11, round(15 * scale)),
        )


@dataclass(frozen=True, slots=True)
class Thing:
    """One object to draw. `score` is None where no detection of this frame saw it."""

    box: Box
    name: str
    colour: Colour
    number: int  # track id, NO_TRACK without one
    score: float | None
    lost: bool
    segment_id: int  # 0 without a mask
    faint: bool = False  # beside things that are followed, one that is not

    @property
    def side(self) -> float:
        """The shorter one of its box."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])


def draw(rgb: UInt8, result: FrameResult, trails: Trails | None = None, *, notice: str = "") -> UInt8:
    """The picture [H, W, 3] with the result drawn over it; the picture given is not changed.

    `notice` is a word of warning for the caption, such as frames lost just before. Raises `ValueError` where the
    picture is not of the size that the result is about.
    """
    height, width = rgb.shape[:2]
    if (result.width, result.height) != (width, height):
        raise ValueError(f"rgb is {width}x{height}; the result's {result.width}x{result.height} is needed")
    style = Style.of(width, height)
    things = sorted(things_of(result), key=lambda thing: -_area(thing.box))
    borders = _borders(result, things)
    drawn = _layer(result, things, borders, trails, style).over(rgb)
    for thing in things:
        _draw_outline(drawn, thing, borders.get(thing.segment_id, []), style)
    tags = [
        _tag(thing)
        for thing in sorted(things, key=_tag_order)
        if thing.number != NO_TRACK or not result.tracks.alive.any()
    ]
    caption = caption_of(result, width=width, height=height, size=style.text, notice=notice)
    occupied = [] if caption is None else [caption.place]
    for tag in place_tags(tags, width=width, height=height, size=style.text, occupied=occupied):
        draw_tag(drawn, tag)
    if caption is not None:
        draw_caption(drawn, caption)
    return drawn


def things_of(result: FrameResult) -> Iterator[Thing]:
    """What is worth drawing: confirmed tracks, seen and lost, and surer detections that have no track yet."""
    tracks, detections = result.tracks, result.detections
    segment_of = _segment_by_detection(result)
    followed = bool(tracks.alive.any())
    shown = set()
    for i in np.flatnonzero(tracks.alive).tolist():
        row, number = int(tracks.detection_index[i]), int(tracks.ids[i])
        shown.add(row)
        box = _clipped(tracks.boxes[i] if row < 0 else detections.boxes[row], result)
        if box is not None:
            yield Thing(
                box=box,
                name=result.class_name(int(tracks.labels[i])),
                colour=thing_colour(number),
                number=number,
                score=None if row < 0 else float(detections.scores[row]),
                lost=bool(tracks.states[i] == TrackState.LOST),
                segment_id=segment_of.get(row, 0),
            )
    for row in np.flatnonzero(detections.scores >= UNTRACKED_SCORE).tolist():
        box = _clipped(detections.boxes[row], result)
        if row not in shown and box is not None:
            label = int(detections.labels[row])
            yield Thing(
                box=box,
                name=result.class_name(label),
                colour=UNTRACKED if followed else thing_colour(label),
                number=NO_TRACK,
                score=float(detections.scores[row]),
                lost=False,
                segment_id=segment_of.get(row, 0),
                faint=followed,
            )


def _segment_by_detection(result: FrameResult) -> dict[int, int]:
    if result.panoptic is None:
        return {}
    segments = result.panoptic.segments
    things = segments[segments.detection_index >= 0]
    return dict(zip(things.detection_index.tolist(), things.ids.tolist(), strict=True))


def _clipped(box: np.ndarray, result: FrameResult) -> Box | None:
    """The part of a box inside the picture; None where there is none."""
    left, right = (min(max(float(x), 0.0), float(result.width)) for x in (box[0], box[2]))
    top, bottom = (min(max(float(y), 0.0), float(result.height)) for y in (box[1], box[3]))
    return (left, top, right, bottom) if right - left >= 1 and bottom - top >= 1 else None


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _borders(result: FrameResult, things: Iterable[Thing]) -> dict[int, list[Points]]:
    """The outlines of each drawn thing's mask, by segment id."""
    if result.panoptic is None:
        return {}
    return {thing.segment_id: outlines(result.panoptic, thing.segment_id) for thing in things if thing.segment_id}


def _layer(
    result: FrameResult, things: list[Thing], borders: dict[int, list[Points]], trails: Trails | None, style: Style
) -> Layer:
    layer = _ground(result)
    for number, steps in trails or ():
        _draw_trail(layer, steps, thing_colour(number), style)
    for thing in things:  # what is in front of a trail hides it
        if borders.get(thing.segment_id):
            layer.fill(borders[thing.segment_id], thing.colour, THING_OPACITY)
        elif result.panoptic is None and not thing.lost:
            layer.fill([_head(thing.box)], INK, 0.0)  # no trail across a face
    for thing in things:
        masked = bool(borders.get(thing.segment_id))
        if thing.side >= 2 * style.text if masked else thing.faint and not thing.lost:
            _draw_faint_box(layer, thing, style)
    return layer


def _head(box: Box) -> Points:
    left, top, right, bottom = box
    return rounded((left, top, right, top + HEAD * (bottom - top)), 0.0)


def _draw_faint_box(layer: Layer, thing: Thing, style: Style) -> None:
    box = rounded(thing.box, style.radius)
    layer.path(np.vstack([box, box[:1]]), thing.colour, opacity=FAINT_OPACITY, thickness=style.thin)


def _ground(result: FrameResult) -> Layer:
    if result.panoptic is None:
        return Layer.clear(result.width, result.height)
    segments = result.panoptic.segments
    stuff = segments[~segments.is_thing]
    names = (result.class_name(label) for label in stuff.labels.tolist())
    colours = dict(zip(stuff.ids.tolist(), map(stuff_colour, names), strict=True))
    return tinted_ground(result.panoptic, colours, width=result.width, height=result.height)


def _draw_trail(layer: Layer, steps: list[Step], colour: Colour, style: Style) -> None:
    """A line that fades and thins towards the past, in a few bands."""
    points = np.array(_apart(smoothed(steps), 2.0 * style.line))
    edges = np.linspace(0, len(points) - 1, min(TRAIL_BANDS, len(points) - 1) + 1).round().astype(int).tolist()
    for band, (first, last) in enumerate(pairwise(edges), start=1):
        share = band / (len(edges) - 1)
        layer.path(
            points[first : last + 1],
            colour,
            opacity=0.1 + 0.75 * share,
            thickness=max(1, round(1.5 * style.line * share)),
        )


def smoothed(steps: list[Step], *, reach: int = 4) -> Points:
    """The places of a trail [S, 2], each averaged with `reach` before and after it: box edges tremble."""
    places = np.array([(step.x, step.y) for step in steps])
    sums = np.cumsum(np.vstack([np.zeros(2), places]), axis=0)
    rows = np.arange(len(places))
    near = np.minimum(np.minimum(rows, rows[::-1]), reach)  # less at the ends, so that the newest stays where it is
    return np.asarray((sums[rows + near + 1] - sums[rows - near]) / (2 * near + 1)[:, None])


def _apart(places: Points, distance: float) -> list[tuple[float, float]]:
    """The places of a trail, oldest first, thinned from the newest to lie at least `distance` pixels apart."""
    (x, y), *older = places[::-1].tolist()
    kept = [(x, y)]
    for x, y in older:
        if hypot(x - kept[-1][0], y - kept[-1][1]) >= distance:
            kept.append((x, y))
    return kept[::-1]


def _draw_outline(rgb: UInt8, thing: Thing, borders: list[Points], style: Style) -> None:
    """A mask's border or a box, on a dark rim that sets it off from a picture of its own colour; finer where small."""
    box = rounded(thing.box, style.radius)
    rim = mix(thing.colour, INK, 0.75)
    width = max(1, min(style.line, round(thing.side / (2 * style.text) * style.line)))
    if thing.lost:
        lines = dashes(box, 4.0 * style.line + 5)
        stroke_open(rgb, lines, rim, style.thin + 1)
        stroke_open(rgb, lines, thing.colour, style.thin)
    elif borders:
        stroke(rgb, borders, mix(thing.colour, WHITE, 0.3), style.thin)
    elif not thing.faint:  # whose box is in the layer
        stroke(rgb, [box], rim, width + (2 if width > 1 else 1))
        stroke(rgb, [box], thing.colour, width)


def _tag(thing: Thing) -> Tag:
    number = "" if thing.number == NO_TRACK else str(thing.number)
    if thing.lost:
        return Tag(thing.box, thing.colour, number, "", number, opacity=LOST_OPACITY)
    detail = "" if thing.score is None else f"{thing.score:.2f}"
    return Tag(thing.box, thing.colour, f"{thing.name} {number}".strip(), detail, number or thing.name)


def _tag_order(thing: Thing) -> tuple[bool, int]:
    """Seen before lost, then by track id: a label keeps its place from frame to frame."""
    return thing.lost, thing.number
