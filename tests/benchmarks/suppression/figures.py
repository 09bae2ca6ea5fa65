"""AP of a detector after each setting; settings chosen on one half of the pictures and told of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from stages.suppress import Method
from stages.suppress.stage import suppressed
from tests.benchmarks.accuracy import SCORE_THRESHOLD
from tests.benchmarks.suppression.boxes import Looked
from tests.benchmarks.suppression.matched import Matched, Precision
from tests.benchmarks.suppression.settings import GRID, RUN_SCORE, SETTINGS, Setting

PARTS: Final = 10  # of a half, each left out once: how far a figure hangs on the pictures
AGAINST: Final[Method] = "hard"
Rows = tuple[int, ...]


class Measured:
    """A detector's figures; each setting's boxes are matched once."""

    def __init__(self, looked: Looked) -> None:
        self.looked = looked
        self.crowded = tuple(i for i, one in enumerate(looked.objects) if one.crowds())
        self.halves: tuple[Rows, Rows] = tuple(looked.half(False)), tuple(looked.half(True))
        self.matched = cache(self._matched)
        self.precision = cache(self._precision)

    def _matched(self, setting: Setting, score_threshold: float) -> Matched:
        return Matched(self.looked, suppressed(self.looked.found, setting.config(score_threshold)))

    def _precision(
        self, setting: Setting, rows: Rows, *, crowded: bool = False, least: float = SCORE_THRESHOLD
    ) -> Precision | None:
        return self.matched(setting, least).precision(rows, crowded=crowded)

    def ap(self, setting: Setting, rows: Rows, *, crowded: bool = False) -> float | None:
        """AP alone."""
        found = self.precision(setting, rows, crowded=crowded)
        return None if found is None else found.ap

    def best(self, method: Method, rows: Rows) -> Setting:
        """The method's setting with the highest AP on some pictures; of equal ones the first."""
        return max((Setting(method, value) for value in GRID[method]), key=lambda one: self.ap(one, rows) or 0.0)

    def gain(self, one: Setting, other: Setting, rows: Rows, *, crowded: bool) -> tuple[float, float] | None:
        """How much more AP `one` has, and the standard error of that: a jackknife over parts of the pictures.

        Efron and Stein, The jackknife estimate of variance (1981), with parts left out in place of single pictures.
        """

        def difference(of: Rows) -> float | None:
            ours, theirs = (self.ap(setting, of, crowded=crowded) for setting in (one, other))
            return None if ours is None or theirs is None else ours - theirs

        whole = difference(rows)
        if crowded:  # so that each part has some
            rows = tuple(i for i in rows if i in self.crowded)
        parts = min(PARTS, len(rows))
        without = [difference(tuple(i for n, i in enumerate(rows) if n % parts != part)) for part in range(parts)]
        known = np.array([value for value in without if value is not None])
        if whole is None or len(known) < 2:
            return None
        return whole, float(np.sqrt((len(known) - 1) * ((known - known.mean()) ** 2).mean()))


def rows_of(detector: str, measured: Measured, shipped: Setting, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each half, and each method with its parameter chosen on the other half; and what is shipped."""
    rows = []
    for chosen_on, told_of in ((0, 1), (1, 0)):
        settings = {method: measured.best(method, measured.halves[chosen_on]) for method in GRID}
        for name, setting in [*settings.items(), ("shipped", shipped)]:
            row = row_of(measured, setting, {"hard": settings[AGAINST], "shipped": shipped}, measured.halves[told_of])
            rows.append({"detector": detector, "pictures": measured.looked.name, "half": told_of, "name": name, **row})
            tell(f"{detector}, half {told_of}: {setting}")
    return rows


def row_of(measured: Measured, setting: Setting, others: Mapping[str, Setting], rows: Rows) -> dict[str, Any]:
    """Everything of one setting on some pictures; what it has more than each of the others, with its error."""
    precision = measured.precision(setting, rows) or Precision(0.0, 0.0, 0.0)
    crowd = measured.precision(setting, rows, crowded=True)
    run = measured.precision(setting, rows, least=RUN_SCORE)
    gains = {
        f"{'crowded_' * crowded}more_than_{name}": measured.gain(setting, other, rows, crowded=crowded)
        for name, other in others.items()
        for crowded in (False, True)
    }
    kept = np.diff(suppressed(measured.looked.found, setting.config(RUN_SCORE)).bounds)
    return {
        "method": setting.method,
        setting.parameter: setting.value,
        "n": len(rows),
        "ap": precision.ap,
        "ap50": precision.ap50,
        "ap75": precision.ap75,
        "ap_of_a_run": None if run is None else run.ap,
        "boxes_of_a_run": float(kept[list(rows)].mean()),
        "crowded_n": len(set(rows) & set(measured.crowded)),
        "crowded_ap": None if crowd is None else crowd.ap,
        "crowded_ap50": None if crowd is None else crowd.ap50,
        **gains,
    }


def better_than_shipped(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The methods of each detector that have more AP than what is shipped by over twice the error in both halves."""
    found: dict[str, list[str]] = {row["detector"]: [] for row in rows}
    for detector, better in found.items():
        for method in GRID:
            gains = [row["more_than_shipped"] for row in rows if (row["detector"], row["name"]) == (detector, method)]
            if gains and all(gain is not None and gain[0] > 2 * gain[1] for gain in gains):
                better.append(method)
    return found


def grid_of(measured: Measured) -> dict[str, list[float | None]]:
    """AP of every setting: of both halves, then of their crowds."""
    return {
        str(setting): [measured.ap(setting, rows, crowded=c) for c in (False, True) for rows in measured.halves]
        for setting in SETTINGS
    }
