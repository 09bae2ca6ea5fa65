"""Which frames are taken, and which part of a file each belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from stages.models.adaptation.picking import differing, signature, weights_of
from stages.models.adaptation.stretches import BETWEEN, HELD_OUT, TRAIN, parts_of
from stages.models.labelled.parts import evenly


def test_the_end_of_the_time_is_held_out_with_a_gap_before() -> None:
    seconds = np.arange(0, 100.5, 0.5)
    parts = parts_of(seconds, hold_out=0.2)
    assert seconds[parts == HELD_OUT].min() == pytest.approx(80)
    assert seconds[parts == TRAIN].max() == pytest.approx(77.5)
    assert set(np.flatnonzero(parts == BETWEEN)) == set(range(156, 160))
    assert not (np.diff(parts) < 0).any()  # whole stretches of time


def test_nothing_is_held_out_where_nothing_is_to_be() -> None:
    assert (parts_of(np.arange(5.0), hold_out=0.0) == TRAIN).all()
    assert len(parts_of(np.zeros(0), hold_out=0.2)) == 0


def test_an_empty_room_gives_one_frame_and_people_give_theirs() -> None:
    rng = np.random.default_rng(0)
    room = np.full((90, 160, 3), 90, np.uint8)
    frames = []
    for i in range(60):
        frame = (room + rng.integers(-3, 4, room.shape)).astype(np.uint8)
        if i in (20, 40):
            frame[20:80, 2 * i : 2 * i + 25] = 220
        frames.append(frame)
    people = np.array([int(i in (20, 40)) for i in range(60)])
    small = np.stack([signature(frame) for frame in frames])
    taken = differing(small, weights_of(people, np.zeros(60, np.int64)), limit=30)
    assert len(taken) == 3
    assert {20, 40} < set(taken.tolist())


def test_a_brighter_picture_is_no_other_picture() -> None:
    rng = np.random.default_rng(1)
    frame = rng.integers(60, 120, (90, 160, 3)).astype(np.uint8)
    brighter = (frame + 30).astype(np.uint8)
    assert np.abs(signature(frame).astype(int) - signature(brighter).astype(int)).max() <= 1


def test_the_limit_holds_and_doubt_lowers_the_weight() -> None:
    rng = np.random.default_rng(2)
    small = rng.integers(0, 255, (50, 18, 32)).astype(np.uint8)
    assert len(differing(small, np.ones(50, np.float32), limit=7)) == 7
    assert len(differing(small[:0], np.ones(0, np.float32), limit=7)) == 0
    sure, doubtful, empty = weights_of(np.array([3, 3, 0]), np.array([0, 4, 0]))
    assert sure == 1
    assert sure > doubtful > 0
    assert sure > empty > 0


def test_frames_to_measure_on_are_spread_evenly() -> None:
    assert evenly(3, limit=5).tolist() == [0, 1, 2]
    assert evenly(101, limit=5).tolist() == [0, 25, 50, 75, 100]
