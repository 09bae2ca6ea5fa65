"""The painter's order, against a slow reference that marches along lines of sight."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.world.order import back_to_front


def _box(x: float, y: float, width: float, depth: float, turn: float = 0.0) -> np.ndarray:
    corners = np.array([(width, -depth), (width, depth), (-width, depth), (-width, -depth)]) / 2
    cos, sin = np.cos(turn), np.sin(turn)
    return corners @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def _inside(box: np.ndarray, spots: np.ndarray) -> np.ndarray:
    edges = np.roll(box, -1, axis=0) - box
    offset = spots[:, None] - box[None]
    return (edges[None, :, 0] * offset[..., 1] - edges[None, :, 1] * offset[..., 0] >= 0).all(axis=1)


def _first_met(box: np.ndarray) -> np.ndarray:
    """For each of 360 lines of sight from the origin, the step (0.1 m) at which it meets the box; 600 for never."""
    bearings, distances = np.linspace(-np.pi, np.pi, 361)[:, None, None], np.arange(600)[None, :, None] * 0.1
    spots = distances * np.concatenate([np.sin(bearings), np.cos(bearings)], axis=2)
    inside = _inside(box, spots.reshape(-1, 2)).reshape(361, 600)
    return np.where(inside.any(axis=1), inside.argmax(axis=1), 600)


def test_nothing_to_order() -> None:
    assert back_to_front(np.empty((0, 4, 2)), np.zeros(2)) == []


def test_person_beside_a_long_bus() -> None:
    """Their middles say otherwise, but who stands before the bus's rear end is nearer than the bus."""
    bus, person = _box(8.0, 10.0, 12.0, 2.5), _box(3.0, 8.0, 0.5, 0.5)
    assert back_to_front(np.stack([person, bus]), np.zeros(2)) == [1, 0]
    bus, person = _box(-5.0, 10.0, 12.0, 2.5), _box(-10.0, 12.0, 0.5, 0.5)
    assert back_to_front(np.stack([bus, person]), np.zeros(2)) == [1, 0]


@pytest.mark.parametrize("seed", range(6))
def test_order_agrees_with_lines_of_sight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes: list[np.ndarray] = []
    centres: list[np.ndarray] = []
    while len(boxes) < 7:
        centre = rng.uniform((-20, 4), (20, 40))
        if all(np.hypot(*(centre - other)) > 9 for other in centres):
            centres.append(centre)
            boxes.append(_box(*centre, rng.uniform(1, 8), rng.uniform(1, 3), rng.uniform(0, np.pi)))
    order = back_to_front(np.stack(boxes), np.zeros(2))
    assert sorted(order) == list(range(7))
    met = [_first_met(box) for box in boxes]
    for near in range(7):
        for far in range(7):
            if ((met[near] < met[far]) & (met[far] < 600)).any():
                assert order.index(far) < order.index(near), (near, far)
