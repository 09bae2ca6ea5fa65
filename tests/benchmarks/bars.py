"""Rows of a comparison as a picture: those that tell a `group` and its `bars`, a group of bars each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.table import Row

COLOURS = ("#0072b2", "#e69f00", "#999999", "#cc79a7", "#56b4e9", "#009e73")  # told apart with colour blindness


def grouped(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Value by group and bar; a bar that several rows tell is the last one's."""
    groups: dict[str, dict[str, float]] = {}
    for row in rows:
        if "group" in row:
            told = {name: value for name, value in row["bars"].items() if value is not None}
            groups.setdefault(row["group"], {}).update(told)
    return groups


def plot(rows: Iterable[Row], path: Path, *, title: str) -> bool:
    """Draw them, and whether there was anything to draw. All values are of one unit, and more is better."""
    groups = grouped(rows)
    if not groups:
        return False
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    width = 0.8 / len(names)
    figure, axes = pyplot.subplots(figsize=(1.2 + len(groups) * max(1.5, 0.34 * len(names)), 3.6))
    for number, name in enumerate(names):
        places = [place for place, bars in enumerate(groups.values()) if name in bars]
        heights = [bars[name] for bars in groups.values() if name in bars]
        left = [place + (number - (len(names) - 1) / 2) * width for place in places]
        drawn = axes.bar(left, heights, width * 0.92, color=COLOURS[number % len(COLOURS)], label=name)
        axes.bar_label(drawn, fmt="%.1f", fontsize=6.5, padding=1, rotation=90 if len(names) > 4 else 0)
    axes.set_xticks(range(len(groups)), list(groups), fontsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.16)
    axes.legend(fontsize=7.5, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    figure.savefig(path, dpi=100, bbox_inches="tight")
    pyplot.close(figure)
    return True
