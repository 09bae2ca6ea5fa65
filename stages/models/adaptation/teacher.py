"""Teachers: any detector that everyframe runs, asked about a frame and about its mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.config import EMBEDDED_MODEL, DetectorConfig, SuppressConfig, is_torch
from pipeline.errors import DataError
from pipeline.messages import Classes, Detections
from pipeline.stage import Stage
from stages.models.adaptation.agreement import agreed_by_mirror
from stages.models.adaptation.found import Found, mirrored
from stages.models.evaluation.subject import frame_of, run_stages
from stages.models.labelled.taxonomy import Taxonomy

FAINTEST = 0.1  # scores below are not even doubtful
_SUPPRESS = SuppressConfig(method="hard", iou_threshold=0.6, score_threshold=FAINTEST)


class Teacher(Protocol):
    """Finds objects in pictures, in the classes of the network that will learn."""

    @property
    def name(self) -> str:
        """What it is, for a person."""
        ...

    @property
    def knows(self) -> NDArray[np.bool_]:
        """[things], the classes that it can find."""
        ...

    def find(self, rgb: NDArray[np.uint8]) -> Found:
        """What it finds in one picture [H, W, 3]. Raises `ModelError`."""
        ...


def looked_twice(teacher: Teacher, rgb: NDArray[np.uint8]) -> Found:
    """What a teacher finds in a frame [H, W, 3] and in its mirror image, as one. Raises `ModelError`."""
    other = teacher.find(np.ascontiguousarray(rgb[:, ::-1]))
    return agreed_by_mirror(teacher.find(rgb), mirrored(other, width=rgb.shape[1]))


class DetectorTeacher:
    """A detector's stages as a teacher.

    Args:
        name: what it is.
        stages: from frames to suppressed detections.
        things: the detector's own class names, by its labels.
        taxonomy: of the network that will learn; a class takes the boxes of every name that it gathers.

    Raises:
        DataError: when it knows none of the classes.
    """

    def __init__(self, name: str, stages: Sequence[Stage], things: Sequence[str], taxonomy: Taxonomy) -> None:
        self.name = name
        self._stages = tuple(stages)
        count = len(taxonomy.things)
        labels = [taxonomy.label(thing) for thing in things]
        self._labels = np.array([-1 if label is None or label >= count else label for label in labels], np.int64)
        self.knows = np.isin(np.arange(count), self._labels)
        if not self.knows.any():
            raise DataError(
                f"teacher {name}: it knows none of the classes {', '.join(taxonomy.things)}; "
                f"it finds {', '.join(list(things)[:10])}{', ...' if len(things) > 10 else ''}"
            )

    def find(self, rgb: NDArray[np.uint8]) -> Found:
        """What it finds in one picture [H, W, 3]. Raises `ModelError`."""
        batch = run_stages(self._stages, frame_of(rgb))
        found = batch.detections[0] if batch.detections else Detections.empty()
        labels = self._labels[found.labels]
        return Found.of(found.boxes, found.scores, labels)[labels >= 0]


def open_teacher(model: str, taxonomy: Taxonomy, *, device: str = "auto") -> DetectorTeacher:
    """A detector as a teacher: an ONNX file, ``everyframe-nano``, or a network of torchvision or transformers.

    Raises:
        ModelError: when it cannot be loaded or run.
        ConfigError: when its class names cannot be told.
        DataError: when it knows none of the classes.
    """
    stages, classes, name = build_stages(model, _SUPPRESS, device=device)
    return DetectorTeacher(name, stages, classes.things, taxonomy)


def build_stages(
    model: str, suppress: SuppressConfig, *, score_threshold: float | None = FAINTEST, device: str = "auto"
) -> tuple[list[Stage], Classes, str]:
    """The stages of a detector up to suppressed boxes, its classes, and its name. Raises as `open_teacher`."""
    from stages.suppress import Suppress

    config = DetectorConfig(model=model, score_threshold=score_threshold)
    if not is_torch(model):
        from stages.detect import build_detector

        detector = build_detector(config)
        return [detector, Suppress(suppress)], detector.classes, detector.model.name
    from stages.detect.zoo import detect_with, torch_detector
    from stages.models.devices import choose_device
    from stages.models.zoo.run import Machine

    machine = Machine(device=choose_device(device))
    network = torch_detector(config, machine, suppress)
    found = detect_with(network, config, machine)
    if not found.overlaps:
        suppress = msgspec.structs.replace(suppress, method="hard", iou_threshold=1.0)
    return [found, Suppress(suppress)], found.classes, found.model.name


def checksum_of(model: str) -> str:
    """What tells a model from another: SHA-256 of a file, else its name. Raises `ModelError` where it is missing."""
    if model == EMBEDDED_MODEL:
        from stages.detect.build import WEIGHTS
        from stages.models.backend import checksum

        return checksum(WEIGHTS / f"{EMBEDDED_MODEL}.onnx")
    if is_torch(model):
        return model
    from stages.models.backend import check_file, checksum

    check_file(Path(model))
    return checksum(Path(model))
