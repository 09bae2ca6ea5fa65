"""One model's sums over pictures, and the figures they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections
from stages.models.evaluation.boundaries import BoundaryFigures
from stages.models.evaluation.box_precision import BoxPrecision
from stages.models.evaluation.figures import BOX_FIGURES, ModelFigures, Row
from stages.models.evaluation.matching import box_confusion, matches
from stages.models.evaluation.panoptic_quality import PanopticQuality
from stages.models.evaluation.pixels import PixelFigures
from stages.models.evaluation.reliability import reliability, tempered
from stages.models.evaluation.subject import Found
from stages.models.evaluation.truth import Truth
from stages.models.evaluation.voc_precision import VocPrecision
from stages.models.labelled.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """Boxes of a picture that are counted one by one, and what is there."""

    detections: Detections
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    open_labels: frozenset[int]


class Tally:
    """Gathers pictures.

    Args:
        taxonomy: the truth's classes.
        counted_score: boxes from here are counted in the confusion matrix.
        counted_from: boxes from here are asked whether their score is a probability.
        boundary_tolerance: of outlines, as a share of the picture's diagonal.
    """

    def __init__(
        self, taxonomy: Taxonomy, *, counted_score: float, counted_from: float, boundary_tolerance: float
    ) -> None:
        names, things = taxonomy.classes.names, len(taxonomy.things)
        self._taxonomy, self._counted_score, self._counted_from = taxonomy, counted_score, counted_from
        self._boxes, self._voc = BoxPrecision(taxonomy.things), VocPrecision(taxonomy.things)
        self._counted: list[_Counted] = []
        self._panoptic = PanopticQuality(names, things=things)
        self._pixels, self._boundaries = PixelFigures(names), BoundaryFigures(names, tolerance=boundary_tolerance)
        self._judged: list[tuple[str, float, bool]] = []  # picture, score, whether right
        self._has_masks = False

    def add(self, key: str, found: Found, truth: Truth) -> None:
        """One picture, by its name."""
        detections = found.detections
        objects = (truth.boxes, truth.labels, truth.ignored)
        self._boxes.add(detections, *objects, areas=truth.areas, open_labels=truth.open_labels)
        self._voc.add(detections, *objects, open_labels=truth.open_labels)
        asked = detections[detections.scores >= np.float32(self._counted_from)]
        self._counted.append(_Counted(asked, *objects, truth.open_labels))
        for match in matches(asked, *objects, open_labels=truth.open_labels):
            self._judged.append((key, match.score, match.hit))
        if found.panoptic is not None:
            self._has_masks = True
            self._panoptic.add(found.panoptic, truth.pixels, open_labels=truth.open_labels)
            self._pixels.add(found.panoptic[..., 0], truth.pixels[..., 0])
            self._boundaries.add(found.panoptic[..., 0], truth.pixels[..., 0])

    def judged(self) -> tuple[list[str], NDArray[np.float64], NDArray[np.bool_]]:
        """The picture, the score and whether it is right, of every box from `counted_from` that counts."""
        keys = [key for key, _, _ in self._judged]
        return keys, np.array([s for _, s, _ in self._judged]), np.array([hit for _, _, hit in self._judged], np.bool_)

    def into(self, figures: ModelFigures, *, compared: frozenset[str], temperature: float | None = None) -> None:
        """Write what was gathered, means over the classes compared.

        A temperature changes what scores say, never their order: the confusion matrix and the reliability.
        """
        boxes = self._boxes.figures()
        voc = self._voc.by_class()
        rows: dict[str, Row] = {name: {} for name in figures.classes}
        for name in set(self._taxonomy.things) & set(rows):
            rows[name] |= boxes.by_class[name] | voc[name]
        figures.by_class = rows
        things = [name for name in self._taxonomy.things if name in compared]
        figures.means = {figure: figures.mean(figure, things) for figure in BOX_FIGURES}
        figures.curves = {n: curve.tolist() for n, curve in boxes.curves.items() if n in rows}
        figures.confusion = self._confusion(temperature).tolist()
        _, scores, hits = self.judged()
        figures.reliability = reliability(scores if temperature is None else tempered(scores, temperature), hits)
        figures.means["ece"] = figures.reliability.error
        if self._has_masks:
            self._masks_into(figures, compared)

    def _confusion(self, temperature: float | None) -> NDArray[np.int64]:
        things = len(self._taxonomy.things)
        counts = np.zeros((things + 1, things + 1), np.int64)
        for one in self._counted:
            scores = one.detections.scores.astype(np.float64)
            scores = scores if temperature is None else tempered(scores, temperature)
            shown = one.detections[scores >= self._counted_score - 1e-7]
            objects = (one.boxes, one.labels, one.ignored)
            counts += box_confusion(shown, *objects, classes=things, open_labels=one.open_labels)
        return counts

    def _masks_into(self, figures: ModelFigures, compared: frozenset[str]) -> None:
        quality, pixels, boundaries = self._panoptic.by_class(), self._pixels.by_class(), self._boundaries.by_class()
        for name, row in figures.by_class.items():
            row |= pixels[name] | {"boundary_f1": boundaries[name]} | quality[name]
        names = [name for name in self._taxonomy.classes.names if name in compared]
        figures.means |= {"miou": figures.mean("iou", names), "dice": figures.mean("dice", names)}
        figures.means["class_accuracy"] = figures.mean("accuracy", names)
        figures.means["pixel_accuracy"] = self._pixels.means()["pixel_accuracy"]
        figures.means["boundary_f1"] = figures.mean("boundary_f1", names)
        for group, values in self._panoptic.quality(names).items():
            suffix = "" if group == "all" else f"_{group}"
            figures.means |= {f"{key}{suffix}": value for key, value in values.items()}
        figures.pixels = self._pixels.confusion.tolist()
