"""What the ceiling replays is what it says."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.ceiling import parts, rig, scenes


def test_a_replayed_frame_has_300_candidates_20_boxes_and_32_segments() -> None:
    counted = parts.counts(rig.settings(sources=scenes.SCENES, masks=True, max_batch=32), batches=8)
    assert counted["candidates"] == scenes.CANDIDATES
    assert counted["boxes"] == 20
    assert counted["segments"] >= 32


def test_scenes_differ_from_each_other() -> None:
    maps = [scenes.scene(number)[3] for number in range(scenes.SCENES)]
    assert len({each.tobytes() for each in maps}) == scenes.SCENES
    assert all(len({frame.tobytes() for frame in each}) == scenes.FRAMES for each in maps)


def test_candidates_come_best_first_and_lie_in_the_picture() -> None:
    boxes, scores, labels, maps = scenes.scene(0)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert boxes.min() >= 0
    assert boxes[..., 2].max() <= 1920
    assert boxes[..., 3].max() <= 1080
    assert labels.max() < len(scenes.CLASSES.things)
    assert maps.max() < len(scenes.CLASSES.names)


def test_the_recording_is_small() -> None:
    assert scenes.RECORDING.stat().st_size < 400_000
