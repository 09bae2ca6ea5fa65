"""The street world over time: ids stay with their things, cameras move or stay, signals are kept."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.world import World
from stages.models.world.roads import Signals
from stages.models.world.scene import Wishes
from stages.models.world.traffic import Crowd

_SIZE = {"width": 256, "height": 144, "supersample": 1}


def _world(seed: int, **options: object) -> World:
    return World(seed, **{**_SIZE, **options})  # type: ignore[arg-type]


def _overlap(first: list[float], second: list[float]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    both = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return both / (areas - both)


def test_ids_stay_with_their_things() -> None:
    """From frame to frame (40 ms) an id keeps its class, and its box overlaps the one before."""
    kept, overlaps = 0, []
    for seed in range(4):
        world = _world(seed, moving_camera=False, fps=25.0)
        before: dict[int, tuple[int, list[float]]] = {}
        for frame in world.frames(12):
            things = zip(frame.track_ids.tolist(), frame.labels.tolist(), frame.boxes.tolist(), strict=True)
            now = {track_id: (label, box) for track_id, label, box in things}
            for track_id in now.keys() & before.keys():
                assert now[track_id][0] == before[track_id][0]
                overlaps.append(_overlap(now[track_id][1], before[track_id][1]))
                kept += 1
            before = now
    assert kept > 100
    assert np.median(overlaps) > 0.8
    assert np.quantile(overlaps, 0.05) > 0.4


def test_things_move_leave_and_arrive() -> None:
    world = _world(11)
    first = {actor.track_id: actor.along for actor in world.traffic.actors if actor.wish > 0}
    world.step(60.0)
    later = {actor.track_id for actor in world.traffic.actors}
    assert first.keys() - later, "nobody left in a minute"
    assert later - first.keys(), "nobody arrived in a minute"
    assert min(later - first.keys()) > max(first), "an id came back"


def test_vehicles_do_not_drive_through_each_other() -> None:
    """Middles of vehicles on the same lane stay at least a car's width apart, for half a minute of busy traffic."""
    crowd = Crowd(vehicles=12, cyclists=2, walkers=6, standers=0)
    for seed in range(3):
        world = _world(seed, wishes=Wishes(layout="straight"), crowd=crowd)
        for _ in range(30):
            world.step(1.0)
            vehicles = [actor for actor in world.traffic.actors if actor.route.kind == "lane"]
            for index, one in enumerate(vehicles):
                for other in vehicles[index + 1 :]:
                    if one.route is other.route:
                        gap = abs(one.along - other.along) - (one.size[0] + other.size[0]) / 2
                        assert gap > -0.5, (seed, world.seconds, gap)


def test_vehicles_wait_at_red() -> None:
    """Who stands before a closed gate does not pass it."""
    world = _world(2, wishes=Wishes(layout="crossing"), crowd=Crowd(vehicles=10, cyclists=0, walkers=0, standers=0))
    for _ in range(200):
        before = {actor.track_id: actor for actor in world.traffic.actors}
        fronts = {key: actor.along + actor.size[0] / 2 for key, actor in before.items()}
        slow = {key for key, actor in before.items() if actor.speed < 2.0}
        closed = {
            (key, gate)
            for key in slow
            for gate in before[key].route.gates
            if fronts[key] <= gate.position - 1.0
            and not world.scene.layout.signals.green(gate.signal, world.seconds)
            and not world.scene.layout.signals.green(gate.signal, world.seconds + 0.3)
        }
        world.step(0.2)
        for key, gate in closed:
            assert before[key].along + before[key].size[0] / 2 <= gate.position + 0.5


def test_conflicting_signals_are_never_green_together() -> None:
    signals = Signals(offset_seconds=7.0)
    for seconds in np.arange(0, 60, 0.1).tolist():
        assert not (signals.green(0, seconds) and signals.green(1, seconds))
        assert not (signals.green(0, seconds) and signals.green(2, seconds))
        assert not (signals.green(1, seconds) and signals.green(3, seconds))


@pytest.mark.parametrize("moving", [True, False])
def test_camera_moves_as_asked(moving: bool) -> None:
    for seed in range(5):
        world = _world(seed, moving_camera=moving)
        viewpoint = world.scene.viewpoint
        first, later = (viewpoint.at(seconds, width=256, height=144) for seconds in (0.0, 0.9))
        shift = (
            np.abs(first.position - later.position).max() + abs(first.yaw - later.yaw) + abs(first.pitch - later.pitch)
        )
        assert (shift > 1e-4) == moving, (seed, viewpoint.movement)


def test_moving_camera_keeps_ids() -> None:
    world = _world(6, moving_camera=True, fps=12.5)
    frames = list(world.frames(5))
    shared = set.intersection(*(set(frame.track_ids.tolist()) for frame in frames))
    assert shared
    assert any((frames[0].id_map != frame.id_map).any() for frame in frames[1:])


def test_rider_and_bicycle_are_two_things() -> None:
    world = _world(4, crowd=Crowd(vehicles=0, cyclists=4, walkers=0, standers=0))
    things = [actor.things for actor in world.traffic.actors]
    assert things
    assert all([label for _, label in each] == [1, 0] for each in things)
    assert len({track_id for each in things for track_id, _ in each}) == 2 * len(things)
