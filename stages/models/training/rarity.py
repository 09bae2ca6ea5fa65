"""Pictures of rare classes are drawn more often: repeat factors (Gupta, Dollár and Girshick 2019, "LVIS")."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from stages.models.labelled.census import labels_of
from stages.models.labelled.parts import Progress, reported
from stages.models.labelled.pictures import Pictures
from stages.models.labelled.taxonomy import Taxonomy


def odds_of(
    pictures: Pictures, taxonomy: Taxonomy, *, rare: float, progress: Progress | None = None
) -> NDArray[np.float64]:
    """How often each picture is drawn [P], adding up to 1.

    A class that a share f < `rare` of the pictures has makes them count sqrt(rare / f) times; a picture goes by its
    rarest class. Raises `DataError` where a label cannot be read.
    """
    indices = reported(range(len(pictures)), progress, f"labels of {pictures.name}")
    classes = [frozenset(labels_of(pictures, index, taxonomy)) for index in indices]
    seen_in = Counter(label for labels in classes for label in labels)
    factors = {label: max(1.0, (rare * len(classes) / count) ** 0.5) for label, count in seen_in.items()}
    repeats = np.array([max((factors[label] for label in labels), default=1.0) for labels in classes], np.float64)
    return repeats / repeats.sum() if len(repeats) else repeats
