"""`everyframe run FILE` with YOLOX-nano against the loop a user would write instead, clip by clip.

``python -m tests.benchmarks.endtoend`` runs both sides in turn, each in a process of its own, `--rounds` times, and
compares the medians of the paired ratios. The CPU row holds all processes of everyframe together against decoding and
inference measured alone. Short clips are joined to themselves (`--frames`), on every side: a figure a frame of a clip
of eight seconds is one of how workers end.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.benchmarks.joined import joined
from tests.benchmarks.table import Row, show

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = ROOT.parent / "shared" / "data"
MODEL = SHARED / "weights" / "yolox_nano_416.onnx"
CLIPS = (
    "one-by-one-person-detection.mp4",
    "car-detection.mp4",
    "cars_768x768.h264",
    "street-crowd.avi",
    "retail-hevc-1080p.mp4",
    "numbered-frames.mp4",
)
FRAMES = 1_000  # the least that a side is given
TARGET_FPS, TARGET_FPS_INT8, TARGET_CPU = 1.25, 1.8, 1.15


def side(module: str, *arguments: str) -> dict[str, Any]:
    """What one side prints, run in a process of its own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def rounds_of(clip: Path, *, rounds: int, model: Path, int8: Path | None) -> dict[str, list[dict[str, Any]]]:
    """All sides over one clip, in turn, so that a machine that slows down slows all of them."""
    sides: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(rounds):
        sides["before"].append(side("parts", str(clip), str(model)))
        sides["ours"].append(side("ours", str(clip), str(model)))
        sides["parts"].append(side("parts", str(clip), str(model)))
        sides["onnxruntime"].append(side("loops", "onnxruntime", str(clip), str(model)))
        sides["openvino"].append(side("loops", "openvino", str(clip), str(model)))
        if int8 is not None:
            sides["int8"].append(side("ours", str(clip), str(int8)))
    return sides


def compared(name: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]], target: float | None) -> Row:
    """Frames a second of both sides, and the median of the ratios round by round."""
    ratios = [a["fps"] / b["fps"] for a, b in zip(ours, theirs, strict=True)]
    return {
        "name": name,
        "ours": statistics.median(a["fps"] for a in ours),
        "theirs": statistics.median(b["fps"] for b in theirs),
        "ratio": statistics.median(ratios),
        "unit": "frames/s",
        "target": target,
    }


def cpu_row(name: str, sides: dict[str, list[dict[str, Any]]]) -> Row:
    """CPU time a frame of everything over that of decoding and inference alone: the lower the better.

    The parts are measured just before and just after the whole: a shared machine's speed drifts by more than is asked.
    """
    ours = sides["ours"]
    around = zip(sides["before"], sides["parts"], strict=True)
    floor = [statistics.fmean(part["decode"] + part["inference"] for part in pair) for pair in around]
    spent = [run["cpu_seconds_a_frame"] for run in ours]
    return {
        "name": name,
        "ours": statistics.median(spent) * 1e3,
        "theirs": statistics.median(floor) * 1e3,
        "ratio": statistics.median(a / b for a, b in zip(spent, floor, strict=True)),
        "unit": "CPU ms/frame",
        "target": None,
    }


def geometric_mean(name: str, rows: list[Row], target: float | None) -> Row:
    """The mean that a ratio calls for."""
    mean = math.exp(statistics.fmean(math.log(row["ratio"]) for row in rows))
    return {"name": name, "ours": None, "theirs": None, "ratio": mean, "unit": "", "target": target}


def run(
    *, rounds: int = 1, clips: tuple[str, ...] = CLIPS, int8: Path | None = None, frames: int = FRAMES
) -> list[Row]:
    """All clips, then the means."""
    groups: dict[str, list[Row]] = {"onnxruntime": [], "openvino": [], "cpu": [], "int8": []}
    for clip in clips:
        with tempfile.TemporaryDirectory() as folder:
            path = joined(SHARED / "videos" / clip, Path(folder), frames=frames)
            sides = rounds_of(path, rounds=rounds, model=MODEL, int8=int8)
        for runtime in ("onnxruntime", "openvino"):
            name = f"{clip} against the {runtime} loop"
            groups[runtime].append(compared(name, sides["ours"], sides[runtime], None))
        if int8 is not None:
            groups["int8"].append(compared(f"{clip}, INT8", sides["int8"], sides["onnxruntime"], None))
        groups["cpu"].append(cpu_row(f"{clip}, CPU over decode + inference alone", sides))
        print(f"  {clip}: {groups['onnxruntime'][-1]['ratio']:.2f}× the loop", file=sys.stderr)
    means = [
        geometric_mean("geometric mean against the onnxruntime loop", groups["onnxruntime"], TARGET_FPS),
        geometric_mean("geometric mean against the openvino loop", groups["openvino"], None),
        geometric_mean(f"geometric mean of CPU overhead (at most {TARGET_CPU} wanted)", groups["cpu"], None),
    ]
    if int8 is not None:
        means.append(geometric_mean("geometric mean, INT8, against the f32 loop", groups["int8"], TARGET_FPS_INT8))
    return [row for rows in groups.values() for row in rows] + means


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--frames", type=int, default=FRAMES, help="least length of what is played")
    parser.add_argument("--clips", nargs="*", default=list(CLIPS))
    parser.add_argument("--int8", type=Path, help="an INT8 variant of the network to measure as well")
    arguments = parser.parse_args()
    show(
        "End to end",
        run(rounds=arguments.rounds, clips=tuple(arguments.clips), int8=arguments.int8, frames=arguments.frames),
    )


if __name__ == "__main__":
    main()
