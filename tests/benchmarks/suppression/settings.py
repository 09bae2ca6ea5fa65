"""The methods and the parameters that are tried of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.config import SuppressConfig
from stages.suppress import Method
from tests.benchmarks.suppression.matched import MOST

_DEFAULT = SuppressConfig()  # what a run does by itself
RUN_SCORE: Final = _DEFAULT.score_threshold

# IoU above which boxes are acted on, of hard and linear; sigma of gaussian and matrix.
GRID: Final[dict[Method, tuple[float, ...]]] = {
    "hard": (0.45, 0.5, 0.55, 0.6, 0.65, 0.7),
    "soft-linear": (0.3, 0.4, 0.5, 0.6, 0.7),
    "soft-gaussian": (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0),
    "matrix": (0.1, 0.2, 0.3, 0.5, 0.7),
}
PARAMETERS: Final[dict[Method, str]] = {
    "hard": "iou_threshold",
    "soft-linear": "iou_threshold",
    "soft-gaussian": "sigma",
    "matrix": "sigma",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A method and its one parameter."""

    method: Method
    value: float

    @property
    def parameter(self) -> str:
        """What the parameter is called."""
        return PARAMETERS[self.method]

    def config(self, score_threshold: float) -> SuppressConfig:
        """As a run is configured, with another least score."""
        if self.parameter == "sigma":
            return SuppressConfig(
                method=self.method, sigma=self.value, score_threshold=score_threshold, max_detections=MOST
            )
        return SuppressConfig(
            method=self.method, iou_threshold=self.value, score_threshold=score_threshold, max_detections=MOST
        )

    def __str__(self) -> str:
        return f"{self.method}, {self.parameter} {self.value:g}"


SETTINGS: Final = tuple(Setting(method, value) for method, values in GRID.items() for value in values)
SHIPPED: Final = Setting(_DEFAULT.method, getattr(_DEFAULT, PARAMETERS[_DEFAULT.method]))
