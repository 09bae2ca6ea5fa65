"""How actors share the street: they follow their routes, keep their distance, wait at signals, leave and arrive.

Speeds follow the intelligent driver model (Treiber, Hennecke and Helbing 2000, eq. 1-3) towards whatever is nearest on
the way ahead: another actor or a red signal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stages.models.world.actors import Actor, draw_cyclist, draw_stander, draw_vehicle, draw_walker
from stages.models.world.camera import Floats
from stages.models.world.catalogue import Catalogue
from stages.models.world.layout import Layout
from stages.models.world.roads import Gate, Route, RouteKind

_LOOK_METRES = np.arange(0.4, 20.0, 1.1)
_LONGEST_STEP_SECONDS = 0.1
_FREE_METRES = 60.0
_PATIENCE_SECONDS = 6.0  # after which a deadlock is broken by going on slowly
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many are on the street at a time."""

    vehicles: int
    cyclists: int
    walkers: int
    standers: int


def draw_crowd(rng: np.random.Generator) -> Crowd:
    """Sparse, ordinary and crowded scenes."""
    level = float(rng.choice((0.45, 1.0, 1.6), p=(0.25, 0.5, 0.25)))
    return Crowd(
        vehicles=int(rng.poisson(3.8 * level)) + 1,
        cyclists=int(rng.poisson(2.9 * level)),
        walkers=int(rng.poisson(4.8 * level)),
        standers=int(rng.poisson(1.3 * level)),
    )


class Traffic:
    """The actors of a world; at the start they are spread over their routes as if it had always been going on."""

    def __init__(
        self, rng: np.random.Generator, catalogue: Catalogue, layout: Layout, crowd: Crowd, *, lamps: bool,
        sought: Callable[[Floats, float], bool],
    ) -> None:  # fmt: skip
        """`sought` says whether something so high (metres) at a place [2] would be seen well: most begin there."""
        self._rng, self._catalogue, self._layout, self._crowd, self._lamps = rng, catalogue, layout, crowd, lamps
        self._routes: dict[RouteKind, list[Route]] = {"lane": [], "cycle": [], "foot": []}
        for each in layout.routes:
            self._routes[each.kind].append(each)
        self._next_id = 1
        self._waited: dict[int, float] = {}
        self.seconds = 0.0
        self.actors: list[Actor] = []
        counts = {"lane": crowd.vehicles, "cycle": crowd.cyclists, "foot": crowd.walkers, "stand": crowd.standers}
        for kind, count in counts.items():
            for _ in range(count):
                self._place(kind, sought)

    def step(self, seconds: float) -> None:
        """Moves everybody on."""
        parts = max(1, int(np.ceil(seconds / _LONGEST_STEP_SECONDS - 1e-9)))
        for _ in range(parts):
            self._advance(seconds / parts)
            self.seconds += seconds / parts
        self.actors = [actor for actor in self.actors if actor.along < actor.route.length - 0.5]
        self._arrive(seconds)

    def _advance(self, seconds: float) -> None:
        moving = [actor for actor in self.actors if actor.wish > 0]
        if not moving:
            return
        gaps, closing = self._gaps(moving)
        for actor, gap, speed_ahead in zip(moving, gaps, closing, strict=True):
            actor.speed = self._next_speed(actor, gap, speed_ahead, seconds)
            actor.move(actor.speed * seconds)

    def _next_speed(self, actor: Actor, gap: float, speed_ahead: float, seconds: float) -> float:
        gate = self._closed_gate(actor)
        if gate is not None and gate < gap:
            gap, speed_ahead = gate, 0.0
        if actor.route.kind == "foot":
            return actor.wish if gap > 0.35 or gate is None else 0.0
        pull, brake = (1.8, 3.0) if actor.route.kind == "lane" else (1.0, 2.0)
        waited = self._waited.get(actor.track_id, 0.0)
        if actor.speed < 0.2 and gate is None:
            waited += seconds
            self._waited[actor.track_id] = waited
            if waited > _PATIENCE_SECONDS and gap > 0.3:
                return 0.8
        elif actor.speed > 1.5:
            self._waited.pop(actor.track_id, None)
        wanted = 1.6 + actor.speed * 1.0 + actor.speed * (actor.speed - speed_ahead) / (2 * (pull * brake) ** 0.5)
        free = 1 - (actor.speed / actor.wish) ** 4
        change = pull * (free - (max(wanted, 1.0) / max(gap, 0.2)) ** 2)
        return float(np.clip(actor.speed + max(change, -8.0) * seconds, 0.0, actor.wish * 1.05))

    def _closed_gate(self, actor: Actor) -> float | None:
        """Metres to the red signal ahead, if it can still stop there."""
        front = actor.along + float(actor.size[0]) / 2
        for gate in actor.route.gates:
            gap = gate.position - front
            needed = actor.speed**2 / 10.0 if actor.route.kind != "foot" else 0.0
            if gap > needed - 0.3 and gap < 40.0 and not self._layout.signals.green(gate.signal, self.seconds):
                return max(gap, 0.0)
        return None

    def _gaps(self, moving: list[Actor]) -> tuple[Floats, Floats]:
        """Metres free ahead of each moving actor, and how fast what ends them moves the same way.  [n], [n]"""
        discs, radii, owners = self._discs()
        gaps, speeds = np.full(len(moving), _FREE_METRES), np.zeros(len(moving))
        for row, actor in enumerate(moving):
            if actor.route.kind == "foot":
                continue
            front = actor.along + float(actor.size[0]) / 2
            way = actor.route.at(front + _LOOK_METRES)
            reach = radii + float(actor.size[1]) / 2 + 0.25
            near = ((way[:, None] - discs[None]) ** 2).sum(axis=2) < reach**2
            near &= owners != actor.track_id
            hit = np.flatnonzero(near.any(axis=1))
            if len(hit):
                disc = int(np.flatnonzero(near[hit[0]])[0])
                other = next(each for each in self.actors if each.track_id == owners[disc])
                gaps[row] = max(_LOOK_METRES[hit[0]] - float(reach[disc]) * 0.7, 0.1)
                speeds[row] = other.speed * np.cos(other.heading - actor.heading)
        return gaps, np.maximum(speeds, 0.0)

    def _discs(self) -> tuple[Floats, Floats, Floats]:
        """Actors as discs on the ground, long ones as several: centres [n, 2], radii [n], track ids [n]."""
        centres, radii, owners = [], [], []
        for actor in self.actors:
            count = max(1, round(float(actor.size[0] / actor.size[1])))
            ahead = np.array([np.sin(actor.heading), np.cos(actor.heading)])
            slack = float(actor.size[0] - actor.size[1]) / 2
            for offset in np.linspace(-slack, slack, count) if count > 1 else (0.0,):
                centres.append(actor.place + ahead * offset)
                radii.append(float(actor.size[1]) / 2)
                owners.append(actor.track_id)
        return np.array(centres).reshape(-1, 2), np.array(radii), np.array(owners)

    def _place(self, kind: str, sought: Callable[[Floats, float], bool]) -> None:
        """Puts somebody somewhere on a route, where there is room and the signals allow it."""
        routes = self._routes["foot" if kind == "stand" else kind]  # type: ignore[index]
        for attempt in range(_TRIES):
            on = routes[self._rng.integers(len(routes))]
            along = float(self._rng.uniform(0.02, 0.98) * on.length)
            seen = sought(on.at(np.array([along]))[0], 1.7)
            if not seen and attempt < _TRIES - 1 and self._rng.random() < 0.9:
                continue
            gate = next((gate for gate in on.gates if self._blocked(gate, along)), None)
            if gate is not None:
                if kind == "stand":
                    continue
                along = gate.position - float(self._rng.uniform(0.4, 1.2))  # waits at the signal instead
            actor = self._draw(kind, on, along)
            if gate is not None:
                actor.along -= float(actor.size[0]) / 2
                actor.speed = 0.0
                actor.settle()
            if self._has_room(actor):
                self._add(actor)
                return

    def _blocked(self, gate: Gate, along: float) -> bool:
        red = not self._layout.signals.green(gate.signal, self.seconds)
        return red and gate.position - 6.0 < along < gate.position + gate.clear

    def _draw(self, kind: str, on: Route, along: float) -> Actor:
        rng, catalogue, number = self._rng, self._catalogue, self._next_id
        if kind == "lane":
            return draw_vehicle(rng, catalogue, number, on, along, lamps=self._lamps)
        if kind == "cycle":
            return draw_cyclist(rng, catalogue, number, on, along)
        return (draw_stander if kind == "stand" else draw_walker)(rng, catalogue, number, on, along)

    def _add(self, actor: Actor) -> None:
        self.actors.append(actor)
        self._next_id += len(actor.things)

    def _has_room(self, actor: Actor, *, spare: float = 0.8) -> bool:
        centres, radii, _ = self._discs()
        if not len(centres):
            return True
        forward = np.array([np.sin(actor.heading), np.cos(actor.heading)])
        offset = centres - actor.place
        ahead = np.abs(offset @ forward) - float(actor.size[0]) / 2 - radii
        aside = np.abs(offset @ np.array([forward[1], -forward[0]])) - float(actor.size[1]) / 2 - radii
        gap = spare * (3.0 if actor.route.kind == "lane" else 0.4)
        return not bool(((ahead < gap) & (aside < 0.15)).any())

    def _arrive(self, seconds: float) -> None:
        """Keeps the street as busy as it began: somebody new starts on a route when somebody has left."""
        wanted = {"lane": self._crowd.vehicles, "cycle": self._crowd.cyclists, "foot": self._crowd.walkers}
        for kind, count in wanted.items():
            present = sum(actor.route.kind == kind and actor.wish > 0 for actor in self.actors)
            if present < count and self._rng.random() < 1.0 - np.exp(-0.8 * seconds):
                routes = self._routes[kind]  # type: ignore[index]
                actor = self._draw(kind, routes[self._rng.integers(len(routes))], 7.0)
                if self._has_room(actor, spare=2.5):
                    self._add(actor)
