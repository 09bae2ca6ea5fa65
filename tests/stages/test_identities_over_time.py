"""Video panoptic results of a street: a thing's segments keep one track id, and each kind of ground is one segment."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest

from pipeline.messages import NO_TRACK, Batch, FrameResult, ModelInfo
from pipeline.messages.batch_results import results_of
from stages.models.evaluation.subject import frame_of
from stages.models.labelled.sample import FIRST_OBJECT
from stages.models.labelled.taxonomy import world_taxonomy
from stages.models.labelled.world import sample_of
from stages.models.world import World
from stages.models.world.traffic import Crowd
from stages.track import Track
from tests.stages.finder import Finder

CLASSES = world_taxonomy().classes
FRAMES = 12
SEEDS = {False: 14, True: 11}  # of streets where nobody crosses behind another, by whether the camera moves
CROWD = Crowd(vehicles=8, cyclists=4, walkers=14, standers=3)


@cache
def clip(*, moving: bool, faults: float) -> list[tuple[FrameResult, np.ndarray, np.ndarray]]:
    """Results with the truth: which object each pixel shows [H, W], 0 for none, and the objects' identities [G]."""
    world = World(
        SEEDS[moving], split="unseen", width=320, height=180, moving_camera=moving, supersample=1, crowd=CROWD
    )
    finder, tracker = Finder(CLASSES, faults=faults), Track()
    out = []
    for number, frame in enumerate(world.frames(FRAMES)):
        sample = sample_of(frame)
        detections, panoptic = finder(sample, frame.track_ids)
        given = frame_of(sample.image, seq=number, time_ns=number * 80_000_000)
        batch = tracker(Batch((given,), detections=(detections,), panoptic=(panoptic,)))
        (result,) = results_of(batch, classes=CLASSES, model=ModelInfo("finder", "1"))
        objects = np.maximum(sample.regions.astype(np.int64) - (FIRST_OBJECT - 1), 0)
        out.append((result, objects, frame.track_ids))
    return out


@pytest.mark.parametrize("moving", [False, True], ids=["standing camera", "moving camera"])
def test_a_thing_found_without_fault_keeps_its_track_in_all_its_segments(moving: bool) -> None:
    tracks, things = defaultdict(set), defaultdict(set)
    frames_followed: defaultdict[int, int] = defaultdict(int)
    for result, objects, ids in clip(moving=moving, faults=0.0):
        segments = result.panoptic.segments
        for row in np.flatnonzero(segments.is_thing).tolist():
            shown = np.unique(objects[result.panoptic.ids == segments.ids[row]])
            assert len(shown) == 1, "a segment shows one thing alone"
            identity, track = int(ids[shown[0] - 1]), int(segments.track_ids[row])
            assert track == result.track_ids[segments.detection_index[row]]
            if track != NO_TRACK:
                tracks[identity].add(track)
                things[track].add(identity)
                frames_followed[identity] += 1
    assert all(len(one) == 1 for one in tracks.values())
    assert all(len(one) == 1 for one in things.values())
    assert sum(frames == FRAMES for frames in frames_followed.values()) >= 8


@pytest.mark.parametrize("faults", [0.0, 1.0], ids=["no faults", "faults"])
@pytest.mark.parametrize("moving", [False, True], ids=["standing camera", "moving camera"])
def test_ground_is_one_segment_a_class_without_a_track_and_each_track_has_one_segment(
    moving: bool, faults: float
) -> None:
    for result, _, _ in clip(moving=moving, faults=faults):
        segments = result.panoptic.segments
        ground = segments[~segments.is_thing]
        assert len(ground) >= 3
        assert len(set(ground.labels.tolist())) == len(ground)
        assert (ground.track_ids == NO_TRACK).all()
        assert not any(CLASSES.is_thing(label) for label in ground.labels.tolist())
        followed = segments.track_ids[segments.track_ids != NO_TRACK]
        assert len(np.unique(followed)) == len(followed) > 0
        assert set(followed.tolist()) <= set(result.tracks.ids.tolist())
