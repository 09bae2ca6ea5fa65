"""The closed-form filter against the textbook's matrices."""

from __future__ import annotations

import numpy as np
import pytest

from tests.stages.track.slow import motion


class MatrixKalman:
    """One track as a filter of eight numbers with full matrices: position and velocity of cx, cy, w, h."""

    def __init__(self, box: np.ndarray) -> None:
        size = self.size_of(measured(box))
        self.mean = np.concatenate([measured(box), np.zeros(4)])
        self.covariance = np.diag(
            np.concatenate([(2 * motion.MEASUREMENT_STD * size) ** 2, (motion.FIRST_VELOCITY_STD * size) ** 2])
        )

    @staticmethod
    def size_of(position: np.ndarray) -> np.ndarray:
        return np.tile(np.maximum(position[2:4], 1.0), 2)

    def predict(self, dt: float) -> None:
        size = self.size_of(self.mean)
        walk = np.diag((motion.POSITION_STD_PER_SQRT_SECOND * size) ** 2)
        drift = np.diag((motion.VELOCITY_STD_PER_SQRT_SECOND * size) ** 2)
        f = np.eye(8)
        f[:4, 4:] = dt * np.eye(4)
        q = np.block(
            [[walk * dt + drift * dt**3 / 3, drift * dt**2 / 2], [drift * dt**2 / 2, drift * dt]],
        )
        self.mean = f @ self.mean
        self.covariance = f @ self.covariance @ f.T + q

    def correct(self, box: np.ndarray) -> None:
        h = np.eye(4, 8)
        r = np.diag((motion.MEASUREMENT_STD * self.size_of(self.mean)) ** 2)
        gain = self.covariance @ h.T @ np.linalg.inv(h @ self.covariance @ h.T + r)
        self.mean = self.mean + gain @ (measured(box) - h @ self.mean)
        self.covariance = (np.eye(8) - gain @ h) @ self.covariance


def measured(box: np.ndarray) -> np.ndarray:
    """cx, cy, w, h of one xyxy box."""
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]])


def some_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Boxes [count, 4] of ordinary size."""
    corner, size = rng.uniform(0, 500, (count, 2)), rng.uniform(20, 200, (count, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def test_equals_the_full_matrices() -> None:
    rng = np.random.default_rng(5)
    boxes = some_boxes(rng, 6)
    states = motion.begin(boxes.astype(np.float64))
    slow = [MatrixKalman(box) for box in boxes.astype(np.float64)]
    for dt in (0.04, 0.04, 0.12, 0.033, 0.2):
        motion.predict(states, dt)
        boxes = boxes + rng.normal(0, 1, boxes.shape).astype(np.float32)
        seen = np.flatnonzero(rng.random(6) < 0.7)
        motion.correct(states, boxes, np.where(np.isin(np.arange(6), seen), np.arange(6), -1))
        for i, one in enumerate(slow):
            one.predict(dt)
            if i in seen:
                one.correct(boxes[i].astype(np.float64))
            assert states[i, :, 0] == pytest.approx(one.mean[:4], rel=1e-9)
            assert states[i, :, 1] == pytest.approx(one.mean[4:], rel=1e-9)
            assert states[i, :, 2] == pytest.approx(np.diag(one.covariance)[:4], rel=1e-9)
            assert states[i, :, 3] == pytest.approx(np.diag(one.covariance[:4, 4:]), rel=1e-9)
            assert states[i, :, 4] == pytest.approx(np.diag(one.covariance)[4:], rel=1e-9)


def test_one_long_step_equals_two_short_ones() -> None:
    once = motion.begin(some_boxes(np.random.default_rng(0), 5).astype(np.float64))
    once[:, :2, 1] = 30.0
    twice = once.copy()
    motion.predict(once, 0.08)
    motion.predict(twice, 0.04)
    motion.predict(twice, 0.04)
    assert once == pytest.approx(twice, rel=1e-12)


def test_boxes_of_what_begins_are_the_boxes() -> None:
    boxes = some_boxes(np.random.default_rng(1), 9)
    assert motion.boxes_of(motion.begin(boxes.astype(np.float64))) == pytest.approx(boxes, abs=1e-3)


def test_a_shrinking_box_stays_a_box() -> None:
    states = motion.begin(np.array([[0.0, 0.0, 10.0, 10.0]]))
    states[:, 2:, 1] = -100.0
    motion.predict(states, 1.0)
    box = motion.boxes_of(states)[0]
    assert box[2] > box[0]
    assert box[3] > box[1]


def test_no_tracks() -> None:
    states = motion.begin(np.zeros((0, 4)))
    motion.predict(states, 0.04)
    assert motion.boxes_of(states).shape == (0, 4)
