"""The gain of each method over hard NMS as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

METHODS = ("soft-linear", "soft-gaussian", "matrix")


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """AP points more than hard NMS, all pictures and crowds, a mark for each half; bars are the standard error."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    detectors = list(dict.fromkeys(row["detector"] for row in rows))
    figure, both = pyplot.subplots(1, 2, figsize=(10, 1.4 + 0.8 * len(detectors)), sharey=True)
    shown = {"more_than_hard": "all", "crowded_more_than_hard": "classes with ten or more in a picture"}
    for axes, (key, title) in zip(both, shown.items(), strict=True):
        axes.axvline(0, color="0.6", linewidth=1)
        for row in rows:
            if row["name"] not in METHODS or row[key] is None:
                continue
            number = METHODS.index(row["name"])
            place = detectors.index(row["detector"]) + (number - 1) * 0.26 + (row["half"] - 0.5) * 0.1
            gain, spread = (100 * value for value in row[key])
            label = row["name"] if row["half"] == 1 and row["detector"] == detectors[0] else None
            axes.errorbar(
                gain, place, xerr=spread, fmt="os"[row["half"]], color=pyplot.get_cmap("tab10")(number),
                markersize=5, linewidth=1.2, label=label,
            )  # fmt: skip
        axes.set(title=title, xlabel="AP points more than hard NMS")
        axes.grid(axis="x", color="0.9")
    both[0].set_yticks(range(len(detectors)), detectors)
    both[0].invert_yaxis()
    both[0].legend(loc="best", frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
