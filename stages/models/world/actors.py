"""Everything that moves: who they are, where on their routes, and how they paint themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stages.models.world.camera import Floats
from stages.models.world.cars import car
from stages.models.world.catalogue import Catalogue, jittered
from stages.models.world.classes import BICYCLE, BUS, CAR, PERSON, TRUCK
from stages.models.world.clothes import dress
from stages.models.world.cycles import BICYCLE_SIZE, Bicycle, paint_bicycle, riding
from stages.models.world.figure import paint_figure
from stages.models.world.lorries import bus, truck
from stages.models.world.people import Person, Stance, draw_person, upright
from stages.models.world.roads import Route
from stages.models.world.solids import Mesh
from stages.models.world.view import View

_VEHICLE_SHARES = {"car": 0.56, "bus": 0.2, "truck": 0.24}
_METRES_PER_PEDAL_TURN = 4.4


@dataclass(slots=True, eq=False)
class Actor:
    """Something that moves along a route (or stands, with a speed of 0).

    A rider and their bicycle are one actor and two things: `track_id` is the bicycle's, the rider's is one more.
    """

    track_id: int
    route: Route
    along: float  # metres of its middle along the route
    speed: float  # metres a second, now
    wish: float  # ... when nothing is in the way
    size: Floats  # [3] length, width, height
    body: Mesh | Person | tuple[Bicycle, Person]
    label: int
    stance: Stance = "walking"
    phase: float = 0.0  # of the gait or the pedals, radians
    turned: float = 0.0  # how far it looks away from its route
    place: Floats = field(default_factory=lambda: np.zeros(2))  # [2] kept after each move
    heading: float = 0.0

    @property
    def things(self) -> tuple[tuple[int, int], ...]:
        """(track id, label) of what is drawn, in the order it is drawn."""
        if isinstance(self.body, tuple):
            return (self.track_id, BICYCLE), (self.track_id + 1, PERSON)
        return ((self.track_id, self.label),)

    def settle(self) -> None:
        """Takes the place that follows from the way travelled."""
        self.place = self.route.at(np.array([self.along]))[0]
        self.heading = self.route.heading_at(self.along, wheelbase=0.55 * float(self.size[0])) + self.turned

    def move(self, metres: float) -> None:
        self.along += metres
        if isinstance(self.body, Person):
            self.phase += metres * 2 * np.pi / (0.82 * self.body.tall)
        elif isinstance(self.body, tuple):
            self.phase -= metres * 2 * np.pi / _METRES_PER_PEDAL_TURN
        self.settle()

    def footprint(self) -> Floats:
        """Counter-clockwise corners on the ground.  [4, 2]"""
        forward = np.array([np.sin(self.heading), np.cos(self.heading)])
        left = np.array([-forward[1], forward[0]])
        ahead, aside = forward * self.size[0] / 2, left * self.size[1] / 2
        footprint: Floats = self.place + np.stack([ahead - aside, ahead + aside, -ahead + aside, -ahead - aside])
        return footprint

    def paint(self, view: View, index: int, part: int, *, sunny: float) -> None:
        """Paints the thing numbered `part` of `things`."""
        place = np.array([self.place[0], self.place[1], 0.0])
        if isinstance(self.body, Mesh):
            view.mesh(self.body, place, self.heading, index, sunny=sunny)
        elif isinstance(self.body, Person):
            stride = min(1.0, self.speed / 1.1) if self.stance == "walking" else 0.0
            bones = upright(self.body, self.stance, self.phase, stride)
            paint_figure(view, dress(self.body, bones), place, self.heading, index, sunny=sunny)
        elif part == 0:
            paint_bicycle(view, self.body[0], place, self.heading, index, sunny=sunny)
        else:
            bones = riding(self.body[1], self.phase)
            paint_figure(view, dress(self.body[1], bones), place, self.heading, index, sunny=sunny)


def draw_vehicle(
    rng: np.random.Generator, catalogue: Catalogue, track_id: int, on: Route, along: float, *, lamps: bool,
    label: int | None = None,
) -> Actor:  # fmt: skip
    """A car, bus or truck of the catalogue on a route."""
    kinds = (CAR, BUS, TRUCK)
    if label is None:
        label = int(rng.choice(kinds, p=tuple(_VEHICLE_SHARES.values())))
    paint = jittered(rng, catalogue.vehicle_paints)
    if label == CAR:
        mesh = car(str(rng.choice(catalogue.cars)), paint, rng, lamps=lamps)
    elif label == BUS:
        mesh = bus(str(rng.choice(catalogue.buses)), paint, jittered(rng, catalogue.vehicle_paints), lamps=lamps)
    else:
        mesh = truck(str(rng.choice(catalogue.trucks)), paint, jittered(rng, catalogue.vehicle_paints), lamps=lamps)
    wish = float(rng.uniform(*on.speed)) * (1.0 if label == CAR else 0.85)
    return _placed(Actor(track_id, on, along, wish, wish, mesh.size, mesh, label))


def draw_walker(rng: np.random.Generator, catalogue: Catalogue, track_id: int, on: Route, along: float) -> Actor:
    """Somebody on foot."""
    person = draw_person(rng, catalogue)
    wish = float(rng.uniform(*on.speed)) * min(1.0, person.tall / 1.6)
    size = np.array([0.45, 0.5, person.tall])
    return _placed(Actor(track_id, on, along, wish, wish, size, person, PERSON, phase=float(rng.uniform(0, 6.28))))


def draw_stander(rng: np.random.Generator, catalogue: Catalogue, track_id: int, on: Route, along: float) -> Actor:
    """Somebody who stands and waits, or telephones."""
    actor = draw_walker(rng, catalogue, track_id, on, along)
    actor.speed = actor.wish = 0.0
    actor.stance = "telephoning" if rng.random() < 0.3 else "standing"
    actor.turned = float(rng.uniform(-np.pi, np.pi))
    return _placed(actor)


def draw_cyclist(rng: np.random.Generator, catalogue: Catalogue, track_id: int, on: Route, along: float) -> Actor:
    """A bicycle with its rider; it takes two track ids."""
    bicycle = Bicycle(str(rng.choice(catalogue.bicycles)), jittered(rng, catalogue.vehicle_paints))
    rider = draw_person(rng, catalogue, rider=True)
    wish = float(rng.uniform(*on.speed))
    size = np.array([BICYCLE_SIZE[0], BICYCLE_SIZE[1], 0.55 + 0.72 * rider.tall])
    actor = Actor(track_id, on, along, wish, wish, size, (bicycle, rider), BICYCLE, phase=float(rng.uniform(0, 6.28)))
    return _placed(actor)


def _placed(actor: Actor) -> Actor:
    actor.settle()
    return actor
