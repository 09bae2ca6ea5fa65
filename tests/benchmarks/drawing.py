"""Drawing a crowd, at several sizes, and what it costs beside converting the picture and encoding it.

``python -m tests.benchmarks.drawing`` prints the table.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.messages import (
    Classes,
    Detections,
    FrameResult,
    ModelInfo,
    PanopticMap,
    Segments,
    Surface,
    Tracks,
    TrackState,
    Transform,
    with_track_ids,
)
from stages.publish.draw import draw
from stages.publish.recorder import VideoRecorder
from stages.publish.rgb import rgb_of
from stages.publish.trails import Trails

SIZES = ((640, 360), (1280, 720), (1920, 1080))
PEOPLE = 24
MAP_SCALE = 8
CLASSES = Classes(things=("person",), stuff=("road", "building"))


def crowd(width: int, height: int, seq: int) -> FrameResult:
    """People with masks who drift to the right over a road."""
    rng = np.random.default_rng(1)
    tall = rng.uniform(0.1, 0.4, PEOPLE) * height
    left = rng.uniform(0, 0.9, PEOPLE) * width + 2 * seq
    top = rng.uniform(0.2, 0.55, PEOPLE) * height
    boxes = np.stack([left, top, left + 0.4 * tall, top + tall], axis=1).astype(np.float32)
    scores = rng.uniform(0.5, 0.95, PEOPLE).astype(np.float32)
    labels = np.zeros(PEOPLE, dtype=np.int32)
    rows, ids = np.arange(PEOPLE, dtype=np.int32), np.arange(1, PEOPLE + 1)
    confirmed = np.full(PEOPLE, TrackState.CONFIRMED, dtype=np.uint8)
    detections = Detections.of(boxes, scores, labels)
    return FrameResult(
        source_id="crowd",
        epoch=1,
        seq=seq,
        pts=seq,
        time_base=Fraction(1, 25),
        capture_time_ns=seq * 40_000_000,
        clock="recording",
        width=width,
        height=height,
        classes=CLASSES,
        model=ModelInfo("benchmark", "1"),
        detections=detections,
        track_ids=ids,
        tracks=Tracks(ids, boxes, labels, scores, confirmed, rows),
        panoptic=with_track_ids(_map(width, height, boxes), ids),
    )


def _map(width: int, height: int, boxes: np.ndarray[Any, Any]) -> PanopticMap:
    ids = np.ones((height // MAP_SCALE, width // MAP_SCALE), dtype=np.uint16)
    ids[: len(ids) // 3] = 2
    for i, (left, top, right, bottom) in enumerate(boxes / MAP_SCALE):
        centre, axes = ((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2)
        cv2.ellipse(ids, tuple(map(round, centre)), tuple(map(round, axes)), 0, 0, 360, i + 3, -1)
    count = PEOPLE + 2
    numbers = np.arange(count, dtype=np.int32)
    things = numbers >= 2
    segments = Segments(
        ids=numbers + 1,
        labels=np.where(things, 0, numbers + 1).astype(np.int32),
        is_thing=things,
        scores=np.ones(count, dtype=np.float32),
        areas=np.ones(count, dtype=np.int32),
        boxes=np.vstack([np.zeros((2, 4), dtype=np.float32), boxes]),
        detection_index=np.where(things, numbers - 2, -1).astype(np.int32),
        track_ids=np.full(count, -1, dtype=np.int64),
    )
    return PanopticMap(ids, segments, Transform(MAP_SCALE, MAP_SCALE))


def median_ms(work: Callable[[int], Any], rounds: int = 40) -> float:
    """Processor time of this thread, so that what else the machine does is not counted; the middle of all rounds."""
    times = []
    for i in range(rounds):
        begin = time.thread_time()
        work(i)
        times.append(time.thread_time() - begin)
    return float(np.median(times)) * 1e3


def row(width: int, height: int) -> dict[str, Any]:
    """Drawing against what a video costs anyway: conversion and encoding."""
    half = ((height + 1) // 2, (width + 1) // 2)
    grain = np.random.default_rng(2).integers(90, 110, (height, width)).astype(np.uint8)
    surface = Surface("yuv420p", (grain, *(np.full(half, 128, dtype=np.uint8) for _ in range(2))))
    rgb, trails = rgb_of(surface), Trails()
    results = [crowd(width, height, seq) for seq in range(80)]
    for result in results[:40]:
        trails.update(result)
    ours = median_ms(lambda i: (trails.update(results[40 + i]), draw(rgb, results[40 + i], trails)))
    with tempfile.TemporaryDirectory() as folder:
        recorder = VideoRecorder(Path(folder, "a.mp4"), width=width, height=height, time_base=Fraction(1, 25))
        begin = os.times()
        for tick in range(40):
            recorder.write(rgb_of(surface), tick=tick, duration=1)
        recorder.close()
        end = os.times()
    theirs = (end.user + end.system - begin.user - begin.system) / 40 * 1e3
    return {
        "name": f"Draw {PEOPLE} people with masks at {width}x{height}, against encoding",
        "ours": ours,
        "theirs": theirs,
        "ratio": theirs / ours,
        "unit": "ms",
        "target": None,
    }


def run() -> list[dict[str, Any]]:
    """A row a size of picture."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [row(width, height) for width, height in SIZES]
    finally:
        cv2.setNumThreads(threads)


if __name__ == "__main__":
    for each in run():
        print(f"{each['name']:<64} {each['ours']:8.2f} {each['theirs']:8.2f} {each['unit']} {each['ratio']:7.1f}x")
