"""From a scene and its traffic to a frame: paint back to front, then read the truth off the canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stages.models.world.actors import Actor
from stages.models.world.camera import NEAR_METRES, Camera, Floats
from stages.models.world.canvas import Canvas
from stages.models.world.classes import BUILDING, STUFF, THING_ID_BASE, VEGETATION
from stages.models.world.frame import MIN_VISIBILITY, MIN_VISIBLE_PIXELS, WorldFrame
from stages.models.world.furniture import TrafficLight
from stages.models.world.ground import GRASS, paint_ground, relief
from stages.models.world.order import back_to_front
from stages.models.world.scene import Scene, Still
from stages.models.world.sensor import Sensor, add_glare, expose
from stages.models.world.shadows import headlight_map, in_shade, shadow_map
from stages.models.world.sky import clouds, paint_sky, paint_skyline
from stages.models.world.traffic import Traffic
from stages.models.world.view import View

_FIRST_THING: Final = 16  # canvas indices of things; 255 is the last
_SMALLEST_PIXELS: Final = 7.0  # things lower than this are not painted
_NEAREST_METRES: Final = 1.2
_STILL_HEIGHT_METRES: Final = 45.0
_MARGIN_METRES: Final = 0.75  # by which limbs, bags and umbrellas may leave a thing's box


@dataclass(frozen=True, slots=True)
class _Painted:
    """A thing on the canvas."""

    track_id: int
    label: int
    area: int  # pixels, before anything nearer was painted


def render(
    scene: Scene, traffic: Traffic, camera: Camera, sensor: Sensor, rng: np.random.Generator, *, supersample: int
) -> WorldFrame:
    """The frame a camera sees; rng is for what changes from frame to frame only (noise, rain)."""
    canvas = Canvas(width=camera.width, height=camera.height, supersample=supersample)
    lamps = np.array([lamp.head for lamp in scene.lamps if lamp.on]).reshape(-1, 3)
    view = View(camera, scene.climate, canvas, lamps=lamps)
    paint_sky(view)
    paint_skyline(view, scene.skyline)
    paint_ground(view, scene.layout, scene.ground)
    actors = [actor for actor in traffic.actors if _worth_painting(view, actor)]
    canvas.put(_backdrop(view, scene, actors))
    painted = _paint_standing(view, scene, traffic, actors)
    indices = canvas.indices()
    picture = canvas.picture().astype(np.float32)
    if scene.climate.lamps:
        add_glare(picture, *_glares(view, scene, actors, indices, painted))
    return _frame(expose(picture, sensor, scene.climate, rng), indices, painted)


def _backdrop(view: View, scene: Scene, actors: list[Actor]) -> NDArray[np.uint8]:
    """The finished sky and ground, so that the edges of what is painted on them blend with the right colours."""
    indices = view.canvas.indices()
    picture = view.canvas.picture().astype(np.float32)
    clouds(picture, view, indices, scene.skyline)
    shadows = shadow_map(view, scene.shades, scene.trees, actors)
    relief(picture, view, indices, shadows, headlight_map(view, actors), scene.ground)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def _worth_painting(view: View, actor: Actor) -> bool:
    depth = float(view.to_camera(np.array([*actor.place, float(actor.size[2]) / 2]))[2])
    return depth > _NEAREST_METRES and view.camera.focal * float(actor.size[2]) / depth >= _SMALLEST_PIXELS


def _paint_standing(view: View, scene: Scene, traffic: Traffic, actors: list[Actor]) -> list[_Painted]:
    """Paints all that stands on the ground; the n-th thing has canvas index `_FIRST_THING` + n."""
    standing: list[Still | Actor] = [*scene.stills, *actors]
    moving = np.array([actor.footprint() for actor in actors]).reshape(-1, 4, 2)
    footprints = np.concatenate([scene.footprints, moving])
    heights = np.array([float(each.size[2]) if isinstance(each, Actor) else _STILL_HEIGHT_METRES for each in standing])
    boxes, seen = _picture_boxes(view, footprints, heights)
    rows = np.flatnonzero(seen)
    painted: list[_Painted] = []
    for row in rows[back_to_front(footprints[rows], view.origin[:2])].tolist():
        each = standing[row]
        if isinstance(each, Actor):
            painted += _paint_actor(view, scene, each, boxes[row], _FIRST_THING + len(painted))
        elif isinstance(each, TrafficLight):
            each.paint(view, green=scene.layout.signals.green(each.group, traffic.seconds))
        else:
            each.paint(view)
    return painted


def _picture_boxes(view: View, footprints: Floats, heights: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Where upright boxes lie in the picture: xyxy [n, 4] within it, and whether any of each is seen [n]."""
    camera = view.camera
    middle = footprints.mean(axis=1, keepdims=True)
    way = footprints - middle
    grown = footprints + way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6) * _MARGIN_METRES
    low = np.concatenate([grown, np.zeros((*grown.shape[:2], 1))], axis=-1)
    high = low.copy()
    high[..., 2] = heights[:, None] + _MARGIN_METRES
    points = view.to_camera(np.concatenate([low, high], axis=1))  # [n, 8, 3]
    depth = points[..., 2]
    ahead = depth > NEAR_METRES
    points[..., 2] = np.maximum(depth, NEAR_METRES)
    pixels = camera.to_pixels(points)
    first, last = pixels.min(axis=1), pixels.max(axis=1)
    partly_behind = ~ahead.all(axis=1)
    size = np.array([camera.width, camera.height], float)
    first[partly_behind], last[partly_behind] = 0.0, size
    seen = ahead.any(axis=1) & (last > 0).all(axis=1) & (first < size).all(axis=1)
    return np.concatenate([np.clip(first, 0, size), np.clip(last, 0, size)], axis=1), seen


def _paint_actor(view: View, scene: Scene, actor: Actor, box: Floats, index: int) -> list[_Painted]:
    sunny = 0.0 if in_shade(actor.place, scene.shades) else 1.0
    painted: list[_Painted] = []
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    step = view.canvas.supersample
    for part, (track_id, label) in enumerate(actor.things):
        if index + part > 255:
            break
        actor.paint(view, index + part, part, sunny=sunny)
        region = view.canvas.samples[top * step : bottom * step : step, left * step : right * step : step, 3]
        painted.append(_Painted(track_id, label, int(np.count_nonzero(region == index + part))))
    return painted


def _glares(
    view: View, scene: Scene, actors: list[Actor], indices: NDArray[np.uint8], painted: list[_Painted]
) -> tuple[Floats, Floats]:
    """Lights that shine into the camera: (x, y, radius) in pixels [n, 3] and colours [n, 3]."""
    owners = {thing.track_id: _FIRST_THING + number for number, thing in enumerate(painted)}
    candidates: list[tuple[Floats, int, float, tuple[float, float, float]]] = [
        (lamp.head, BUILDING, 0.40, (130.0, 100.0, 58.0)) for lamp in scene.lamps
    ]
    for actor in actors:
        if actor.route.kind == "lane":
            ahead = np.array([np.sin(actor.heading), np.cos(actor.heading)])
            facing = float(ahead @ (view.origin[:2] - actor.place)) > 0
            colour = (190.0, 184.0, 160.0) if facing else (90.0, 8.0, 6.0)
            end = actor.place + ahead * (float(actor.size[0]) / 2) * (1 if facing else -1)
            for side in (-0.36, 0.36):
                spot = end + side * float(actor.size[1]) * np.array([ahead[1], -ahead[0]])
                candidates.append((np.array([*spot, 0.68]), owners.get(actor.track_id, 0), 0.32, colour))
    lights, colours = [], []
    for place, owner, radius, colour in candidates:
        point = view.to_camera(place)
        if point[2] < 2.0:
            continue
        x, y = view.camera.to_pixels(point)
        if 1 <= x < view.camera.width - 1 and 1 <= y < view.camera.height - 1 and indices[int(y), int(x)] == owner:
            lights.append((x, y, radius * view.camera.focal / point[2]))
            colours.append(colour)
    return np.array(lights, float).reshape(-1, 3), np.array(colours, float).reshape(-1, 3)


def _frame(image: NDArray[np.uint8], indices: NDArray[np.uint8], painted: list[_Painted]) -> WorldFrame:
    """Reads boxes, ids and visibility off the map of canvas indices."""
    table = np.zeros(256, np.int32)
    table[: len(STUFF) + 1] = np.arange(len(STUFF) + 1)
    table[GRASS] = VEGETATION
    regions = ndimage.find_objects(np.where(indices >= _FIRST_THING, indices - (_FIRST_THING - 1), 0))
    boxes, labels, track_ids, visibility = [], [], [], []
    for number, region in enumerate(regions):
        if region is None:
            continue
        thing = painted[number]
        visible = int(np.count_nonzero(indices[region] == _FIRST_THING + number))
        share = visible / max(thing.area, visible)
        if visible < MIN_VISIBLE_PIXELS or share < MIN_VISIBILITY:
            continue
        table[_FIRST_THING + number] = THING_ID_BASE + thing.track_id
        rows, columns = region
        boxes.append((columns.start, rows.start, columns.stop, rows.stop))
        labels.append(thing.label)
        track_ids.append(thing.track_id)
        visibility.append(share)
    return WorldFrame(
        image=image,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array(labels, np.int64),
        track_ids=np.array(track_ids, np.int64),
        id_map=table[indices],
        visibility=np.array(visibility, np.float32),
    )
