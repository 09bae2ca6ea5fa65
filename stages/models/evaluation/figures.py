"""What was measured: fractions, not percent; None where the truth shows no such class or a model gives none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from stages.models.evaluation.panoptic_quality import mean
from stages.models.evaluation.reliability import Reliability
from stages.models.evaluation.video_quality import WINDOWS

BOX_FIGURES: Final = (
    "ap",
    "ap50",
    "ap75",
    "ap_small",
    "ap_medium",
    "ap_large",
    "ar1",
    "ar10",
    "ar100",
    "voc_ap11",
    "voc_ap",
)
PIXEL_FIGURES: Final = ("iou", "dice", "accuracy", "boundary_f1")
PANOPTIC_FIGURES: Final = ("pq", "sq", "rq")
# Of all classes compared together.
MEAN_PIXEL_FIGURES: Final = ("miou", "pixel_accuracy", "class_accuracy", "dice", "boundary_f1")
MEAN_PANOPTIC_FIGURES: Final = tuple(f"{key}{of}" for of in ("", "_things", "_stuff") for key in PANOPTIC_FIGURES)
CLIP_FIGURES: Final = ("hota", "deta", "assa", "mota", "idf1", "stq", "aq", "sq_clips")
VIDEO_FIGURES: Final = ("vpq", "vpq_things", "vpq_stuff", *(f"vpq{k}" for k in WINDOWS))
# For a person: what the columns of tables are called.
TITLES: Final = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP S",
    "ap_medium": "AP M",
    "ap_large": "AP L",
    "ar1": "AR 1",
    "ar10": "AR 10",
    "ar100": "AR 100",
    "voc_ap11": "VOC 11",
    "voc_ap": "VOC",
    "iou": "IoU",
    "miou": "mIoU",
    "dice": "Dice",
    "accuracy": "Accuracy",
    "pixel_accuracy": "Pixel accuracy",
    "class_accuracy": "Class accuracy",
    "boundary_f1": "Boundary F1",
    "pq": "PQ",
    "sq": "SQ",
    "rq": "RQ",
    "pq_things": "PQ things",
    "sq_things": "SQ things",
    "rq_things": "RQ things",
    "pq_stuff": "PQ stuff",
    "sq_stuff": "SQ stuff",
    "rq_stuff": "RQ stuff",
    "hota": "HOTA",
    "deta": "DetA",
    "assa": "AssA",
    "mota": "MOTA",
    "idf1": "IDF1",
    "idsw": "Id switches",
    "stq": "STQ",
    "aq": "AQ",
    "sq_clips": "mIoU, clips",
    "vpq": "VPQ",
    "vpq_things": "VPQ things",
    "vpq_stuff": "VPQ stuff",
    **{f"vpq{k}": f"VPQ {k}" for k in WINDOWS},
    "ece": "ECE",
}

Row = dict[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Time of one picture through network, suppression and merge, one at a time, at a run's own thresholds."""

    median_ms: float
    p95_ms: float
    pictures: int
    threads: int
    note: str  # how the network runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """What dividing the logits of all scores by one number does; fitted on one part, told of the other."""

    value: float
    fitted_on: str
    fitted_boxes: int
    nll_before: float  # on the pictures it was not fitted on
    nll_after: float
    ece_before: float | None
    ece_after: float | None


@dataclass(slots=True, kw_only=True)
class ModelFigures:
    """Of one model.

    Attributes:
        model: its name.
        version: the beginning of its checksum.
        parameters: numbers in its weights.
        file_bytes: of its file.
        picture_size: width and height of what the network is given.
        classes: those it can find among the truth's.
        by_class: name -> figure -> value.
        means: figure -> mean over the classes compared.
        confusion: boxes, rows the truth's class, columns the found one, the last of each "nothing"; at `counted_score`.
        pixels: the same of pixels; rows have no "nothing".
        curves: name -> precision at recall 0, 0.01, ... 1, at IoU 0.5.
        reliability: of boxes from `counted_from`.
    """

    model: str
    version: str
    parameters: int | None = None
    file_bytes: int | None = None
    picture_size: tuple[int, int] | None = None
    classes: tuple[str, ...] = ()
    by_class: dict[str, Row] = field(default_factory=dict)
    means: Row = field(default_factory=dict)
    clips: Row | None = None
    clips_by_class: dict[str, Row] = field(default_factory=dict)
    confusion: list[list[int]] = field(default_factory=list)
    pixels: list[list[int]] | None = None
    curves: dict[str, list[float]] = field(default_factory=dict)
    reliability: Reliability | None = None
    temperature: Temperature | None = None
    latency: Latency | None = None

    def mean(self, figure: str, names: Iterable[str]) -> float | None:
        """Of a figure over these classes, where they have it."""
        return mean(self.by_class.get(name, {}).get(figure) for name in names)


@dataclass(slots=True, kw_only=True)
class Figures:
    """Of all models, on the same pictures.

    Attributes:
        data: what they were measured on, an entry a set.
        pictures: how many.
        things, stuff: the truth's classes, by label.
        compared_things, compared_stuff: those that every model (that gives masks) can find and the truth shows.
        ignored: which objects it is neither right nor wrong to find.
        settings: what else the figures depend on.
        models: a model's figures each.
    """

    data: list[str]
    pictures: int
    things: tuple[str, ...]
    stuff: tuple[str, ...]
    compared_things: tuple[str, ...]
    compared_stuff: tuple[str, ...]
    ignored: list[str]
    settings: dict[str, Any]
    clips: list[str] = field(default_factory=list)
    models: list[ModelFigures] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)
