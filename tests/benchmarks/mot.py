"""Public sequences with public detections, followed by any tracker and judged by `trackeval`."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.messages import Detections

Seen = list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]  # per frame: ids [M], boxes [M, 4] xyxy
Follow = Callable[[list[Detections], float], Seen]  # frames in order, seconds a frame

SEQUENCES = {"MOT17-02": "MOT17", "MOT17-09": "MOT17", "MOT17-10": "MOT17", "TUD-Campus": "MOT15"}
FRAME_SECONDS = {"MOT17-02": 1 / 30, "MOT17-09": 1 / 30, "MOT17-10": 1 / 30, "TUD-Campus": 1 / 25}


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores of a tracker on one sequence, in percent."""

    hota: float
    mota: float
    idf1: float


def detections_of(folder: Path) -> list[Detections]:
    """The public detections of a sequence, one entry a frame, scores brought to 0..1.

    The DPM detector of MOT17 scores from -0.5 up; a logistic curve puts its own threshold, 0, at one half.
    """
    rows = np.loadtxt(folder / "det" / "det.txt", delimiter=",", ndmin=2)
    last = int(max(rows[:, 0].max(), np.loadtxt(folder / "gt" / "gt.txt", delimiter=",", usecols=0).max()))
    scores = rows[:, 6] if rows[:, 6].max() <= 1 else 1 / (1 + np.exp(-2 * rows[:, 6]))
    boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
    frames = []
    for number in range(1, last + 1):
        of_frame = rows[:, 0] == number
        frames.append(
            Detections.of(
                boxes[of_frame].astype(np.float32),
                scores[of_frame].astype(np.float32),
                np.zeros(of_frame.sum(), np.int32),
            )
        )
    return frames


def judge(root: Path, sequence: str, trackers: dict[str, Follow]) -> dict[str, Quality]:
    """Each tracker's scores on a sequence of `root`. Needs `trackeval`."""
    frames = detections_of(root / sequence)
    with tempfile.TemporaryDirectory() as folder:
        for name, follow in trackers.items():
            path = Path(folder) / name / "data" / f"{sequence}.txt"
            path.parent.mkdir(parents=True)
            path.write_text("".join(_lines(follow(frames, FRAME_SECONDS[sequence]))))
        return _evaluate(root, Path(folder), sequence, len(frames), list(trackers))


def _lines(seen: Seen) -> Iterable[str]:
    for number, (ids, boxes) in enumerate(seen, start=1):
        for one, (x1, y1, x2, y2) in zip(ids, boxes, strict=True):
            yield f"{number},{one},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,-1,-1,-1\n"


def _evaluate(root: Path, results: Path, sequence: str, length: int, names: list[str]) -> dict[str, Quality]:
    import trackeval

    quiet = {"PRINT_CONFIG": False}
    dataset = {
        **quiet,
        "GT_FOLDER": str(root),
        "TRACKERS_FOLDER": str(results),
        "TRACKERS_TO_EVAL": names,
        "BENCHMARK": SEQUENCES[sequence],
        "SKIP_SPLIT_FOL": True,
        "SEQ_INFO": {sequence: length},
    }
    silence = {**quiet, "PRINT_RESULTS": False, "TIME_PROGRESS": False, "OUTPUT_SUMMARY": False}
    evaluator = trackeval.Evaluator(
        {**silence, "OUTPUT_DETAILED": False, "PLOT_CURVES": False, "LOG_ON_ERROR": None, "USE_PARALLEL": False}
    )
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)]
    with contextlib.redirect_stdout(io.StringIO()):
        found, _ = evaluator.evaluate([trackeval.datasets.MotChallenge2DBox(dataset)], metrics)
    return {name: _quality(found["MotChallenge2DBox"][name][sequence]["pedestrian"]) for name in names}


def _quality(of_class: dict[str, Any]) -> Quality:
    return Quality(
        hota=100 * float(np.mean(of_class["HOTA"]["HOTA"])),
        mota=100 * float(of_class["CLEAR"]["MOTA"]),
        idf1=100 * float(of_class["Identity"]["IDF1"]),
    )
