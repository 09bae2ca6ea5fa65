"""What INT8 costs on labelled pictures, by the figures of `stages.models.evaluation`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.errors import DataError
from stages.models.evaluation.measure import DataSet, measure
from stages.models.evaluation.subject import Subject
from stages.models.exporting.card import write_card
from stages.models.exporting.formats import Made
from stages.models.exporting.frames import Step, quiet
from stages.models.exporting.int8 import Judged, Trial
from stages.models.labelled.taxonomy import Taxonomy

_FIGURES: Final = {"ap50": "box AP50", "pq": "PQ"}


class ByLabels:
    """A `Judge`: how far box AP50 and PQ fall, both networks as everyframe runs them.

    Args:
        sets: the pictures, none of which INT8 is calibrated with.
        taxonomy: the network's classes, with the names that labels have for them.
        told: what the pictures are, for a person.
        step: told after every picture.
    """

    def __init__(self, sets: Sequence[DataSet], taxonomy: Taxonomy, *, told: str, step: Step = quiet) -> None:
        self._sets, self._taxonomy, self._told, self._step = sets, taxonomy, told, step
        self._float: dict[str, float] | None = None  # the same for every way to quantize

    def __call__(self, trial: Trial, file: Made) -> Judged:
        """Measure. Raises `DataError` where the pictures show nothing that can be measured."""
        if self._float is None:
            self._float = self._measured(trial.whole, trial)
        found = self._measured(file.main, trial)
        drops = {name: value - found[name] for name, value in self._float.items() if name in found}
        if not drops:
            raise DataError(f"{self._told}: show none of the network's classes; INT8 cannot be judged on them")
        worst = max(drops, key=lambda name: drops[name])
        each = ", ".join(f"{_FIGURES[name]} {self._float[name]:.3f} -> {found[name]:.3f}" for name in drops)
        figures = {f"{name}_float": self._float[name] for name in drops} | {name: found[name] for name in drops}
        return Judged(drop=drops[worst], told=f"{each} on {self._told}", figures=figures)

    def _measured(self, path: Path, trial: Trial) -> dict[str, float]:
        write_card(path.with_suffix(".json"), trial.card, [path])
        figures = measure([Subject(str(path))], self._sets, self._taxonomy, progress=self._step)
        (one,) = figures.models
        means = {name: one.means.get(name) for name in _FIGURES}
        return {name: value for name, value in means.items() if value is not None}
