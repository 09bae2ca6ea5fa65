"""AP after hard, soft-linear, soft-gaussian and matrix NMS, by detector.

    python -m tests.benchmarks.suppression [--detector NAME ...] [--limit N] [--worlds N] [--keep FOLDER] [--json FILE]

Every picture is looked at once, f32, boxes from a score of 0.001, and each method is applied to the same boxes. A
method's parameter is chosen by AP on one half of the pictures (by a BLAKE2b of their names), its figures are told of
the other half; then the other way round. Photographs: the 415 of COCO with instance annotations; `everyframe-nano`:
crowded streets it never saw. "Crowded" is a class of which a picture has ten or more, in such pictures alone. What a
method has more than hard NMS, and than what is shipped, comes with its standard error, a jackknife over ten parts of
the half. "Of a run" is AP from a run's own least score on, and the boxes a picture that it keeps.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.config import EMBEDDED_MODEL
from tests.benchmarks.accuracy import DETECTORS, SHARED
from tests.benchmarks.suppression.boxes import look
from tests.benchmarks.suppression.figures import Measured, better_than_shipped, grid_of, rows_of
from tests.benchmarks.suppression.plot import plot
from tests.benchmarks.suppression.settings import SHIPPED
from tests.benchmarks.table import machine

RESULTS = Path(__file__).parents[1] / "results"
SUBJECTS = (EMBEDDED_MODEL, *DETECTORS)
Row = dict[str, Any]


def show(rows: Sequence[Row]) -> None:
    """Print rows side by side."""
    table = Table(title="Suppression", title_justify="left")
    for name in ("detector", "half", "method", "parameter"):
        table.add_column(name)
    for name in ("AP", "AP50", "AP75", "− hard", "− shipped", "crowded", "− hard", "− shipped", "of a run", "boxes"):
        table.add_column(name, justify="right")
    for row in rows:
        method = f"{row['name']}: {row['method']}" if row["name"] == "shipped" else row["method"]
        table.add_row(
            f"{row['detector']} ({row['n']})",
            "ab"[row["half"]],
            method,
            next(f"{key} {row[key]:g}" for key in ("iou_threshold", "sigma") if key in row),
            *(_points(row[key]) for key in ("ap", "ap50", "ap75")),
            *(_gain(row[f"more_than_{name}"]) for name in ("hard", "shipped")),
            _points(row["crowded_ap"]),
            *(_gain(row[f"crowded_more_than_{name}"]) for name in ("hard", "shipped")),
            _points(row["ap_of_a_run"]),
            f"{row['boxes_of_a_run']:.1f}",
            end_section=row["name"] == "shipped",
        )
    Console(width=170).print(table)


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _gain(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"{100 * value[0]:+.2f} ± {100 * value[1]:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write it as JSON and as a picture."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.suppression", description=__doc__.splitlines()[0])
    parser.add_argument("--detector", nargs="*", default=SUBJECTS, choices=SUBJECTS, metavar="NAME")
    parser.add_argument("--limit", type=int, help="only the first N photographs; nothing is written without --json")
    parser.add_argument("--worlds", type=int, default=60, help="synthetic streets (default 60)")
    parser.add_argument("--keep", type=Path, help="a folder for the boxes that were found, so that they can be reused")
    parser.add_argument("--json", type=Path, help="where to write the figures; the plot goes beside them")
    options = parser.parse_args(arguments)
    if not SHARED.is_dir():
        print(f"no photographs and weights in {SHARED}", file=sys.stderr)
        return 1
    whole = options.limit is None and tuple(options.detector) == SUBJECTS
    path = options.json or (RESULTS / "suppression.json" if whole else None)
    rows: list[Row] = []
    grids = {}
    for detector in options.detector:
        measured = Measured(look(detector, limit=options.limit, worlds=options.worlds, kept=options.keep))
        rows += rows_of(detector, measured, SHIPPED, lambda text: print(text, file=sys.stderr, flush=True))
        grids[detector] = grid_of(measured)
        del measured  # all matches of all settings
        if path is not None:  # so far: what is measured outlives an interrupt
            written = {"measured": datetime.date.today().isoformat(), "machine": machine(), "rows": rows, "grid": grids}
            path.write_text(json.dumps(_rounded(written), indent=1) + "\n", encoding="utf-8")
    show(rows)
    for detector, better in better_than_shipped(rows).items():
        told = ", ".join(better) or "nothing"
        print(f"{detector}: {told} better than what is shipped by over twice the error in both halves")
    if path is not None:
        plot(rows, path.with_suffix(".png"))
        print(f"written to {path} and {path.with_suffix('.png')}")
    return 0


def _rounded(value: Any) -> Any:
    """Four decimals are more than the figures hold."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    sys.exit(main())
