"""Recordings with results that are made up, frame by frame, and their exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np

from pipeline.config import SourceConfig
from pipeline.messages import (
    Batch,
    Classes,
    Detections,
    Frame,
    FrameResult,
    Gap,
    ModelInfo,
    PanopticMap,
    Segments,
    Tracks,
    TrackState,
    Transform,
    results_of,
)
from pipeline.wire import item_to_json
from stages.decode import open_source
from stages.exports import export_recording
from tests.cameras.numbered import numbered_frames

CLASSES = Classes(("person", "car"), ("road",))
MODEL = ModelInfo("net", "1")
ROAD, PERSON, CAR = 1, 2, 3  # segment ids

Item = FrameResult | Gap


def clip(path: Path, *, sizes: Sequence[tuple[int, int]] = ((96, 64),), frames: int = 12) -> Path:
    """Numbered pictures, so many of each size; of several sizes as raw H.264, since no container changes its mind."""
    whole = b""
    for number, (width, height) in enumerate(sizes):
        part = path.with_name(f"part{number}{path.suffix}")
        with av.open(str(part), "w") as container:
            stream: Any = container.add_stream("libx264", rate=25, options={"g": "6"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for picture in numbered_frames(frames, width, height, first=number * frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        whole += part.read_bytes()
        part.unlink()
    path.write_bytes(whole)
    return path


@dataclass(frozen=True)
class Recording:
    """A clip, and what is said of it."""

    video: Path | Sequence[Path]
    items: tuple[Item, ...]
    name: str = "clip"

    def into(self, folder: Path, *names: str, **others: Any) -> Path:
        """Its results in a folder, and exports beside them."""
        folder.mkdir(parents=True, exist_ok=True)
        results = folder / "results.jsonl"
        results.write_bytes(b"".join(msgspec.json.encode(item_to_json(item)) + b"\n" for item in self.items))
        export(folder, self.video, *names, name=self.name, **others)
        return folder


def export(
    folder: Path,
    video: Path | Sequence[Path],
    *names: str,
    name: str = "clip",
    tell: Callable[[int, int | None], None] = lambda done, total: None,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Make exports of the results that lie in a folder."""
    export_recording(
        names,
        results=folder / "results.jsonl",
        folder=folder,
        video=video,
        source=SourceConfig(url="-", source_id=name),
        tell=tell,
        stopping=stopping,
    )


def recording(video: Path, *, change: Callable[[FrameResult], Item | None] = lambda result: result) -> Recording:
    """A result a frame: a car that moves, a person, each with its mask, a box nobody follows, and road around them.

    `change` makes another of a result, or a gap; None leaves it out, for one that lies in a gap before.
    """
    reader = open_source(SourceConfig(url=str(video), source_id="clip"), next_epoch=count(1).__next__)
    made = [change(result_of(frame)) for frame in reader]
    reader.close()
    return Recording(video, tuple(item for item in made if item is not None))


def result_of(frame: Frame) -> FrameResult:
    """What is said of a frame."""
    wide, high = frame.width, frame.height
    left = frame.seq % 12 * wide / 24
    boxes = np.array(
        [
            [left, high / 2, left + wide / 4, high * 0.75],
            [wide * 0.75, high / 4, wide * 0.875, high * 0.75],
            [0, 0, wide / 8, high / 8],
        ],
        np.float32,
    )
    scores = np.array([0.9, 0.5 + frame.seq % 12 / 100, 0.25], np.float32)
    labels = np.array([1, 0, 0], np.int32)
    found = Detections(boxes=boxes, scores=scores, labels=labels, raw_scores=scores + np.float32(0.05))
    tracks = Tracks(
        ids=np.array([1, 2, 3], np.int64),
        boxes=boxes,
        labels=labels,
        scores=scores,
        states=np.array([TrackState.CONFIRMED, TrackState.CONFIRMED, TrackState.LOST], np.uint8),
        detection_index=np.array([0, 1, -1], np.int32),
    )
    panoptic = panoptic_of(found, wide, high)
    batch = Batch((frame,), detections=(found,), tracks=(tracks,), panoptic=(panoptic,))
    return results_of(batch, classes=CLASSES, model=MODEL)[0]


def panoptic_of(found: Detections, width: int, height: int) -> PanopticMap:
    """A map at half the size: road, a person, a car."""
    ids = np.full((height // 2, width // 2), ROAD, np.uint16)
    ids[0] = 0
    for id_, row in ((PERSON, 1), (CAR, 0)):
        left, top, right, bottom = np.round(found.boxes[row] / 2).astype(int)
        ids[top:bottom, left:right] = id_
    segments = Segments(
        ids=np.array([ROAD, PERSON, CAR], np.int32),
        labels=np.array([2, 0, 1], np.int32),
        is_thing=np.array([False, True, True]),
        scores=np.array([1, found.scores[1], found.scores[0]], np.float32),
        areas=np.bincount(ids.reshape(-1), minlength=4)[1:].astype(np.int32),
        boxes=np.array([[0, 0, width, height], found.boxes[1], found.boxes[0]], np.float32),
        detection_index=np.array([-1, 1, 0], np.int32),
        track_ids=np.array([-1, 2, 1], np.int64),
    )
    return PanopticMap(ids, segments, Transform(2.0, 2.0))


def without_objects(result: FrameResult) -> FrameResult:
    """A frame in which nothing was found."""
    return replace(
        result,
        detections=Detections.empty(),
        tracks=Tracks.empty(),
        track_ids=np.zeros(0, np.int64),
        panoptic=None,
    )


def without_masks(result: FrameResult) -> FrameResult:
    """Of a network that gives boxes alone."""
    return replace(result, panoptic=None)


def lost(first: int, last: int) -> Callable[[FrameResult], Item | None]:
    """Frames of the first epoch that a gap stands for."""

    def change(result: FrameResult) -> Item | None:
        if result.epoch != 1 or not first <= result.seq <= last:
            return result
        return Gap(result.source_id, 1, first, last, "inference_error") if result.seq == first else None

    return change


def files_of(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, hidden files too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def results_in(items: Iterable[Item]) -> list[FrameResult]:
    """Without the gaps."""
    return [item for item in items if isinstance(item, FrameResult)]
