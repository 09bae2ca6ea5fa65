"""How well a network finds what the teacher finds, on frames that were held out, and how long each takes."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.messages import Detections
from stages.models.adaptation.found import Found
from stages.models.adaptation.teacher import Teacher
from stages.models.evaluation.box_precision import BoxPrecision
from stages.models.evaluation.matching import matches
from stages.models.evaluation.subject import Subject, frame_of, run_stages
from stages.models.evaluation.truth import REFERENCE_WIDTH
from stages.models.labelled.packed import KeyedSample
from stages.models.labelled.parts import Progress, evenly
from stages.models.labelled.sample import unpack
from stages.models.labelled.taxonomy import Taxonomy
from stages.models.labelled.views import is_ignored

CALIBRATED: Final = 120  # frames
TIMED: Final = 40  # frames
COUNTED_SCORE: Final = 0.4  # from which a run paints masks
WARM_UP: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured, the teacher's labels being the truth. Fractions, not percent.

    Attributes:
        ap50: by class that occurs among the labels: average precision at IoU 0.5.
        ap: likewise over IoU 0.50..0.95.
        objects: how many labels of each there are.
        found: how many of those the network found with a score of `COUNTED_SCORE` or more.
        false: by class, boxes of such a score where no label is, certain or doubtful; of classes without labels too.
        frames: how many.
    """

    ap50: dict[str, float]
    ap: dict[str, float]
    objects: dict[str, int]
    found: dict[str, int]
    false: dict[str, int]
    frames: int

    @property
    def mean_ap50(self) -> float:
        """Over the classes that occur."""
        return sum(self.ap50.values()) / len(self.ap50)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Measured:
        """The inverse of `dataclasses.asdict`. Raises `TypeError`, `KeyError` for what is none."""
        return cls(**{name: plain[name] for name in ("ap50", "ap", "objects", "found", "false", "frames")})


def measure(
    model: str,
    samples: Sequence[KeyedSample],
    taxonomy: Taxonomy,
    *,
    said: str = "measured",
    progress: Progress | None = None,
) -> Measured:
    """Box precision of a network against the labels of samples; doubtful objects are neither right nor wrong.

    Args:
        model: ``everyframe-nano`` or an ONNX file.
        samples: with certain objects among them.
        taxonomy: of their labels.
        said: what is being done, for `progress`.
        progress: told after every picture.

    Raises:
        DataError: when no label counts.
        ModelError: when the model cannot be loaded or run.
    """
    subject = Subject(model)
    precision = BoxPrecision(taxonomy.things)
    objects, hits, false = (np.zeros(len(taxonomy.things), np.int64) for _ in range(3))
    for index, (_, packed) in enumerate(samples):
        sample = unpack(packed)
        ignored = is_ignored(sample, scale=REFERENCE_WIDTH / sample.image.shape[1])
        unknown = [] if sample.known is None else np.flatnonzero(~sample.known).tolist()
        found = subject(sample.image, taxonomy, seq=index).detections
        precision.add(found, sample.boxes, sample.labels, ignored, open_labels=unknown)
        counted = counts(found, sample.boxes, sample.labels, ignored, len(taxonomy.things), open_labels=unknown)
        objects, hits, false = objects + counted[0], hits + counted[1], false + counted[2]
        if progress is not None:
            progress(said, index + 1, len(samples))
    if not objects.any():
        raise DataError("no label of the held-out frames is certain and large enough to be measured on")
    figures = precision.figures().by_class
    names = [name for name, count in zip(taxonomy.things, objects, strict=True) if count]
    totals = {
        name: (int(o), int(h), int(f)) for name, o, h, f in zip(taxonomy.things, objects, hits, false, strict=True)
    }
    return Measured(
        ap50={name: round(figures[name]["ap50"] or 0.0, 4) for name in names},
        ap={name: round(figures[name]["ap"] or 0.0, 4) for name in names},
        objects={name: totals[name][0] for name in names},
        found={name: totals[name][1] for name in names},
        false={name: total[2] for name, total in totals.items() if total[2] or name in names},
        frames=len(samples),
    )


def counts(
    found: Detections,
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    ignored: NDArray[np.bool_],
    things: int,
    *,
    open_labels: Collection[int] = (),
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of one frame, by class [things]: labels that count, those found, and boxes where no label is; by `matches`.

    Args:
        found: by the network; counted from `COUNTED_SCORE` on.
        boxes: [N, 4] of the labels.
        labels: [N].
        ignored: [N] bool, labels that it is neither right nor wrong to find.
        things: how many classes there are.
        open_labels: classes that were not looked for.
    """
    hits, false = (np.zeros(things, np.int64) for _ in range(2))
    for match in matches(found, boxes, labels, ignored, open_labels=open_labels):
        if match.score >= COUNTED_SCORE:
            (hits if match.hit else false)[match.label] += 1
    return np.bincount(labels[~ignored], minlength=things), hits, false


def _found(detections: Detections) -> Found:
    return Found.of(detections.boxes, detections.scores, detections.labels.astype(np.int64))


def shifts_of(model: Path, samples: Sequence[KeyedSample], taxonomy: Taxonomy) -> list[float]:
    """What to add to a network's logits of each thing, so that a run's thresholds suit it at this scene.

    Told by frames that were learnt from: those that are held out must not decide what is measured on them. A class of
    which too few are found there stays as it is: what a scene lacks must not become easier to find.

    Args:
        model: the network, an ONNX file.
        samples: learnt from.
        taxonomy: of their labels.
    """
    from stages.models.adaptation.footage import FootagePictures
    from stages.models.evaluation.calibrate import calibrate_on

    some = [samples[row] for row in evenly(len(samples), limit=CALIBRATED)]
    found = calibrate_on(model, FootagePictures("frames learnt from", some), taxonomy, ignoring="world")
    return [shift or 0.0 for shift in found]


def find(model: str, images: Sequence[NDArray[np.uint8]], taxonomy: Taxonomy) -> list[Found]:
    """What a network finds in pictures [H, W, 3] at a run's own thresholds. Raises `ModelError`."""
    subject = Subject(model, score_floor=None)
    return [_found(subject(image, taxonomy, seq=i).detections) for i, image in enumerate(images)]


def times(
    teachers: Sequence[Teacher], model: str, images: Sequence[NDArray[np.uint8]], *, frames: int = TIMED
) -> dict[str, float]:
    """Median milliseconds a frame of each teacher and of a network, in turns, so that a busy machine is fair to all.

    A teacher is asked about the frame alone, as in a run, not about its mirror image; the network gives masks besides.

    Args:
        teachers: who labelled.
        model: the network, an ONNX file.
        images: [H, W, 3] each; taken again from the first as often as needed.
        frames: that are timed.
    """
    subject = Subject(model, score_floor=None)
    spent: dict[str, list[float]] = {name: [] for name in (*(one.name for one in teachers), subject.name)}
    for turn in range(WARM_UP + frames):
        image = np.ascontiguousarray(images[turn % len(images)])
        for teacher in teachers:
            began = time.perf_counter()
            teacher.find(image)
            spent[teacher.name].append(1e3 * (time.perf_counter() - began))
        began = time.perf_counter()
        run_stages(subject.stages, frame_of(image, seq=turn))
        spent[subject.name].append(1e3 * (time.perf_counter() - began))
    return {name: round(float(np.median(one[WARM_UP:])), 2) for name, one in spent.items()}
