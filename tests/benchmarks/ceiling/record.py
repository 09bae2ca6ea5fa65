"""Record what networks find in real clips, for the ceiling to replay: ``python -m tests.benchmarks.ceiling.record``.

A window is 20 consecutive frames of a clip, cut to 16:9. Of each frame are kept YOLOX-nano's best boxes before
suppression, and the class of each pixel of a map of 240x135: things as DeepLabV3 has them (Pascal VOC's classes), stuff
as `everyframe-nano` has it, both found in scores that were interpolated to the map's scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.config import DetectorConfig, SegmenterConfig
from pipeline.messages import Batch, Detections, Frame, SemanticMap, Surface
from stages.detect import build_detector
from stages.segment import build_segmenter, join_classes
from tests.benchmarks.ceiling import scenes
from tests.benchmarks.ceiling.scenes import UInt8

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
BOXES, THINGS = "yolox_nano_416.onnx", "deeplabv3_257_voc.onnx"
LEAST_SCORE = 0.05


class Window(NamedTuple):
    """Where in which clip."""

    clip: str
    first: int
    crowded: bool


CROWD, ROAD = "street-crowd.avi", "cars_768x768.h264"
WINDOWS = (
    *(Window(CROWD, first, True) for first in (0, 60, 120, 170)),
    *(Window(ROAD, first, False) for first in (20, 80, 140, 200)),
)


def pictures(window: Window) -> Iterator[UInt8]:
    """The window's frames [h, w, 3], RGB."""
    import av

    with av.open(str(SHARED / "videos" / window.clip)) as container:
        for number, picture in enumerate(container.decode(video=0)):
            if number >= window.first + scenes.STEPS:
                return
            if number >= window.first:
                whole = picture.to_ndarray(format="rgb24")
                height = whole.shape[1] * 9 // 16
                top = (whole.shape[0] - height) // 2
                yield np.ascontiguousarray(whole[top : top + height])


class Networks:
    """All three."""

    def __init__(self) -> None:
        weights = SHARED / "weights"
        self.boxes = build_detector(DetectorConfig(model=str(weights / BOXES), score_threshold=LEAST_SCORE))
        self.things = build_segmenter(SegmenterConfig(model=str(weights / THINGS)))
        self.stuff = build_detector(DetectorConfig())
        _, labels = join_classes(self.boxes.classes.things, self.things.class_names)
        self._label_of = np.array([255 if label is None else label for label in labels], np.uint8)
        assert self.boxes.classes.things == scenes.CLASSES.things
        assert self.stuff.classes.stuff == scenes.STUFF

    def look(self, picture: UInt8) -> tuple[Detections, UInt8]:
        """Candidates in source pixels, and the label of each pixel of the map."""
        batch = Batch((Frame("clip", 1, 0, 0, Fraction(1, 25), 0, "host", 0, Surface("rgb24", (picture,))),))
        found, seen, ours = self.boxes(batch).detections, self.things(batch).semantic, self.stuff(batch).semantic
        assert found is not None
        assert seen is not None
        assert ours is not None
        things = self._label_of[scaled(seen[0]).argmax(axis=0)]
        stuff = scaled(ours[0])[len(self.stuff.classes.things) :].argmax(axis=0) + len(scenes.CLASSES.things)
        return found[0], np.where(things < 255, things, stuff).astype(np.uint8)


def scaled(semantic: SemanticMap) -> npt.NDArray[Any]:
    """Class scores [S, 135, 240], interpolated."""
    shown = semantic.logits[:, : semantic.valid_height, : semantic.valid_width]
    size = (scenes.TILE_WIDTH, scenes.TILE_HEIGHT)
    return np.stack([cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in shown])


def best(found: Detections) -> Detections:
    """No more than a frame put together of windows takes from one."""
    return found[np.argsort(-found.scores, kind="stable")[: scenes.CANDIDATES // 2]]


def main() -> None:
    """Look at all windows and keep what was found."""
    networks = Networks()
    found, maps, boxes = [], [], []
    for window in WINDOWS:
        for picture in pictures(window):
            candidates, labels = networks.look(picture)
            height, width = picture.shape[:2]
            quarter = np.array([scenes.TILE_WIDTH / width, scenes.TILE_HEIGHT / height] * 2) * scenes.SCALE
            found.append(best(candidates))
            boxes.append(np.rint(found[-1].boxes * quarter * scenes.BOX_UNITS).astype(np.int16))
            maps.append(labels)
        print(f"{window.clip} from frame {window.first}: {len(maps)} frames so far", flush=True)
    recording = scenes.Recording(
        crowded=np.array([window.crowded for window in WINDOWS]),
        maps=np.stack(maps),
        boxes=np.concatenate(boxes),
        scores=np.rint(np.concatenate([one.scores for one in found]) * scenes.SCORE_UNITS).astype(np.uint16),
        labels=np.concatenate([one.labels for one in found]).astype(np.uint8),
        bounds=np.cumsum([0, *map(len, found)]).astype(np.int64),
    )
    recording.save()
    print(f"{scenes.RECORDING.name}: {scenes.RECORDING.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
