"""All of a world that stands still: streets, houses, trees, fixtures, light and weather."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.catalogue import Catalogue, jittered
from stages.models.world.climate import Climate, draw_climate
from stages.models.world.furniture import Fixture, Lamp, TrafficLight, furniture, hedge, lamp
from stages.models.world.ground import GroundLook, draw_ground_look
from stages.models.world.houses import House, draw_house
from stages.models.world.layout import Layout, Plot, draw_layout
from stages.models.world.plants import Tree, draw_foliage, draw_tree
from stages.models.world.shadows import house_shadows
from stages.models.world.sky import Skyline, draw_skyline
from stages.models.world.viewpoint import Clearing, Viewpoint, draw_viewpoint

_FURNITURE_METRES = 45.0  # from what the camera looks at; farther off nobody would see it

Still = House | Tree | Fixture | Lamp | TrafficLight


@dataclass(frozen=True, eq=False)
class Scene:
    """What does not move."""

    layout: Layout
    climate: Climate
    viewpoint: Viewpoint
    ground: GroundLook
    skyline: Skyline
    houses: tuple[House, ...]
    trees: tuple[Tree, ...]
    fixtures: tuple[Fixture, ...]
    lamps: tuple[Lamp, ...]
    lights: tuple[TrafficLight, ...]
    shades: list[Floats]  # outlines on the ground of what the houses keep the sun from

    @cached_property
    def stills(self) -> tuple[Still, ...]:
        return (*self.houses, *self.trees, *self.fixtures, *self.lamps, *self.lights)

    @cached_property
    def footprints(self) -> Floats:
        """Of the stills.  [n, 4, 2]"""
        return np.array([still.footprint() for still in self.stills]).reshape(-1, 4, 2)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What of a scene is settled beforehand; None leaves it to chance."""

    layout: str | None = None
    light: str | None = None
    weather: str | None = None
    camera: str | None = None
    moving_camera: bool | None = None
    orderly: bool = False  # at crossings nobody walks on the carriageway but on zebras


def draw_scene(rng: np.random.Generator, catalogue: Catalogue, wishes: Wishes) -> Scene:
    """A scene of the catalogue."""
    climate = draw_climate(rng, catalogue, light=wishes.light, weather=wishes.weather)
    layout = draw_layout(rng, wishes.layout or str(rng.choice(catalogue.layouts)), orderly=wishes.orderly)
    viewpoint = draw_viewpoint(rng, catalogue, layout, moving=wishes.moving_camera, band=wishes.camera)
    clearing = Clearing(viewpoint)
    houses, gardens = _built(rng, catalogue, layout, clearing, lamps=climate.lamps)
    globe = bool(rng.random() < 0.3)
    return Scene(
        layout=layout,
        climate=climate,
        viewpoint=viewpoint,
        ground=draw_ground_look(rng, catalogue, snow=climate.snow, grass=layout.grass),
        skyline=draw_skyline(rng, catalogue),
        houses=houses,
        trees=_trees(rng, catalogue, layout, clearing, gardens),
        fixtures=_fixtures(rng, catalogue, layout, clearing, gardens),
        lamps=tuple(
            lamp(plot.centre, plot.heading, globe=globe, on=climate.lamps)
            for plot in layout.lamps
            if not clearing.refuses(plot, until=0.4)
        ),
        lights=_traffic_lights(layout, clearing),
        shades=house_shadows(houses, climate),
    )


def _built(
    rng: np.random.Generator, catalogue: Catalogue, layout: Layout, clearing: Clearing, *, lamps: bool
) -> tuple[tuple[House, ...], list[Plot]]:
    """Houses on the plots, and the plots left to gardens."""
    houses, gardens = [], []
    for plot in layout.houses:
        if clearing.refuses(plot, until=1.0):
            continue
        if rng.random() < 0.82:
            houses.append(draw_house(rng, catalogue, plot, lamps=lamps))
        else:
            gardens.append(plot)
    return tuple(houses), gardens


def _trees(
    rng: np.random.Generator, catalogue: Catalogue, layout: Layout, clearing: Clearing, gardens: list[Plot]
) -> tuple[Tree, ...]:
    families = [str(each) for each in rng.choice(catalogue.trees, 2)]
    foliage = [draw_foliage(rng, family) for family in families]
    spots = [plot.centre for plot in layout.trees if not clearing.refuses(plot, until=0.55)]
    for plot in gardens:
        spots += [plot.centre + rng.uniform(-0.4, 0.4, 2) * min(plot.width, plot.depth) for _ in range(3)]
    kinds = rng.integers(0, 2, len(spots))
    return tuple(
        draw_tree(rng, catalogue, families[kind], foliage[kind], spot) for kind, spot in zip(kinds, spots, strict=True)
    )


def _fixtures(
    rng: np.random.Generator, catalogue: Catalogue, layout: Layout, clearing: Clearing, gardens: list[Plot]
) -> tuple[Fixture, ...]:
    fixtures = []
    for plot in layout.furniture:
        far = float(np.hypot(*(plot.centre - clearing.focus))) > _FURNITURE_METRES
        if not far and not clearing.refuses(plot, until=0.35):
            colour = jittered(rng, catalogue.vehicle_paints)
            turn = plot.heading + float(rng.choice((0.0, np.pi / 2, np.pi)))
            fixtures.append(furniture(str(rng.choice(catalogue.furniture)), colour, plot.centre, turn))
    for plot in gardens:
        front = plot.centre + 0.5 * plot.depth * np.array([np.sin(plot.heading), np.cos(plot.heading)])
        tall = float(rng.uniform(0.7, 1.7))
        fixtures.append(hedge(jittered(rng, catalogue.leaves), front, plot.heading, 0.94 * plot.width, tall))
    return tuple(fixtures)


def _traffic_lights(layout: Layout, clearing: Clearing) -> tuple[TrafficLight, ...]:
    """One for each way into a crossing, on the right before its zebra."""
    if len(layout.roads) < 2:
        return ()
    lights = []
    for group, road in enumerate(layout.roads):
        positions = [position for other, position in layout.zebras if other is road]
        for way in (1, -1):
            position = (min(positions) if way > 0 else max(positions)) - way * 2.2
            spot = road.points(np.array([position]), way * (road.half_width + 0.5))[0]
            facing = road.heading + (np.pi if way > 0 else 0.0)
            if not clearing.refuses(Plot(spot, facing, 0.3, 0.3), until=0.5):
                lights.append(TrafficLight(np.array([*spot, 0.0]), facing, group))
    return tuple(lights)
