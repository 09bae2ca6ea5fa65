"""The device path beside the host's on real pictures, of every fit and of odd sizes.

Levels of the two preparations differ by less than three (`stages.models.letterbox`), so scores do by less than 3 / 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config import DetectorConfig, SegmenterConfig, SuppressConfig
from pipeline.messages import Batch, Classes, Detections
from stages.detect.zoo import detect_with
from stages.models.preprocess import Fit
from stages.models.zoo.model import TorchModel
from stages.segment.labels import join_classes
from stages.segment.zoo import merge_for, panoptic_with, segment_with
from stages.suppress import Suppress
from stages.zoo_on_device import zoo_on_device
from tests.stages.cells import Brightness, Cells, Queries, clip, machine, network, on, through

LEVEL = 3 / 255
SUPPRESS = SuppressConfig(method="hard", score_threshold=0.05, max_detections=400)
CONFIG = DetectorConfig(model="torchvision:cells", score_threshold=0.05)
BESIDE = SegmenterConfig(model="torchvision:brightness")
HOST = machine(torch.device("cpu"))
PARITY, LEVELS = ("even", "bright"), ("dark", "middling", "bright")
Key = tuple[int, ...]  # a box in quarters of pixels, and its label


@pytest.mark.parametrize("place", ["host", "device", "mixed"])
@pytest.mark.parametrize("fit", ["stretch", "corner", "centre"])
def test_boxes_of_a_clip_are_the_hosts_within_what_levels_round(
    fit: Fit, place: str, tensor_device: torch.device
) -> None:
    stage, _ = zoo_on_device(cells(fit), CONFIG, machine(tensor_device), suppress=SUPPRESS)
    there = on(tensor_device, clip())
    mixed = [one if i % 2 else other for i, (one, other) in enumerate(zip(clip(), there, strict=True))]
    given = through([stage], {"host": clip(), "device": there, "mixed": mixed}[place]).detections
    wanted = through([detect_with(cells(fit), CONFIG, HOST), Suppress(SUPPRESS)], clip()).detections
    assert given is not None
    assert wanted is not None
    for ours, theirs in zip(map(scores_of, given), map(scores_of, wanted), strict=True):
        sure = {key for key, score in (*ours.items(), *theirs.items()) if score > SUPPRESS.score_threshold + LEVEL}
        assert len(sure) > 20
        assert max(abs(ours[key] - theirs[key]) for key in sure) < LEVEL


@pytest.mark.parametrize("fit", ["stretch", "corner"])
def test_maps_of_boxes_are_the_hosts_but_for_pixels_at_a_threshold(fit: Fit, tensor_device: torch.device) -> None:
    suppress = SuppressConfig(method="hard", score_threshold=0.5)
    stage, classes = zoo_on_device(
        cells(fit), CONFIG, machine(tensor_device), suppress=suppress, beside=levels(fit), segmenter=BESIDE
    )
    joined, labels = join_classes(PARITY, LEVELS)
    assert classes == joined
    merge = merge_for(cells(fit), classes=joined, semantic_labels=labels)
    host = [detect_with(cells(fit), CONFIG, HOST), Suppress(suppress), segment_with(levels(fit), BESIDE, HOST), merge]
    check_maps(through([stage], on(tensor_device, clip())), through(host, clip()))


@pytest.mark.parametrize("fit", ["stretch", "corner"])
def test_maps_of_queries_are_the_hosts_but_for_pixels_at_a_threshold(fit: Fit, tensor_device: torch.device) -> None:
    def queries() -> TorchModel:
        return network(Queries(), fit, names=("person", "sky", "road"), gives="panoptic")

    stage, classes = zoo_on_device(queries(), CONFIG, machine(tensor_device), suppress=SUPPRESS)
    assert classes == Classes(("person",), ("sky", "road"))
    host = panoptic_with(queries(), CONFIG, HOST)
    check_maps(through([stage], on(tensor_device, clip())), through([host], clip()))


def cells(fit: Fit) -> TorchModel:
    return network(Cells(), fit, names=PARITY)


def levels(fit: Fit) -> TorchModel:
    return network(Brightness(), fit, names=LEVELS, gives="semantic")


def scores_of(found: Detections) -> dict[Key, float]:
    keys = np.concatenate([np.rint(found.boxes * 4).astype(int), found.labels[:, None]], 1)
    return dict(zip(map(tuple, keys.tolist()), found.scores.tolist(), strict=True))


def check_maps(given: Batch, wanted: Batch) -> None:
    pairs: Sequence[Any] = tuple(zip(given.panoptic or (), wanted.panoptic or (), strict=True))
    assert len(pairs) == 4
    for ours, theirs in pairs:
        assert (ours.height, ours.width, ours.transform) == (theirs.height, theirs.width, theirs.transform)
        assert len(theirs.segments) >= 2
        one, other = (np.concatenate([[-1], each.segments.labels])[each.ids] for each in (ours, theirs))
        assert (one == other).mean() > 0.98
