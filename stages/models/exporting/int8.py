"""INT8: calibrated on some frames, judged on others, and not made where it costs too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.errors import ModelError
from stages.models.exporting.agreement import SEEN_SCORE, Given, agreement
from stages.models.exporting.formats import INT8, Made, made
from stages.models.exporting.frames import Frames, Step, as_input, quiet
from stages.models.exporting.running import OpenVinoFile
from stages.models.quantize import load_nncf, quantize


class Attempt(NamedTuple):
    """A way to quantize."""

    floats: str  # what stays in float, in words
    first_in_float: bool = False
    last_in_float: bool = False


# From the quickest to the most careful.
ATTEMPTS: Final = (
    Attempt(""),
    Attempt("the last layer before each output", last_in_float=True),
    Attempt("the first two layers and the last before each output", first_in_float=True, last_in_float=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What INT8 costs.

    Attributes:
        drop: of the figure that fell most, as a fraction of 1.
        told: what was measured, for a person.
        figures: what was measured, by name.
        floats: what was left in float; empty: nothing but what always is.
    """

    drop: float
    told: str
    figures: dict[str, float] = field(default_factory=dict)
    floats: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What is judged.

    Attributes:
        whole: the network as ONNX in float32.
        card: of the network.
        frames: to calibrate with, and to judge on.
        reference: torch's outputs on the latter.
    """

    whole: Path
    card: Mapping[str, Any]
    frames: Frames
    reference: Sequence[Given]


Judge = Callable[[Trial, Made], Judged]


def make_int8(trial: Trial, stem: Path, *, judge: Judge, max_drop: float, step: Step = quiet) -> tuple[Made, Judged]:
    """The first of several ways to quantize that costs little enough.

    Args:
        trial: the network.
        stem: path of the files without their endings.
        judge: tells what a file costs.
        max_drop: what it may cost.
        step: told of each piece of work.

    Raises:
        ModelError: when every way costs more, or `nncf` is not installed.
    """
    load_nncf()
    found = []
    for number, attempt in enumerate(ATTEMPTS, 1):
        file = _quantized(trial, stem, attempt, number=number, step=step)
        judged = replace(judge(trial, file), floats=attempt.floats)
        if judged.drop <= max_drop:
            return file, judged
        found.append(judged)
    best = min(found, key=lambda each: each.drop)
    count = len(trial.frames.calibration)
    raise ModelError(
        f"INT8 costs {best.drop:.4f} and --max-drop allows {max_drop:g}: {best.told}"
        f"{f', with {best.floats} in float' if best.floats else ''}; nothing was written. Calibrate with more or more "
        f"varied frames ({count} were used), leave INT8 out, or allow more"
    )


def _quantized(trial: Trial, stem: Path, attempt: Attempt, *, number: int, step: Step) -> Made:
    pictures = trial.frames.calibration

    def told(done: int) -> None:
        step("calibrating" if number == 1 else f"calibrating, way {number}", done, len(pictures))

    quantize(
        trial.whole,
        pictures,
        output=stem.with_name(f"{stem.name}-int8.xml"),
        first_in_float=attempt.first_in_float,
        last_in_float=attempt.last_in_float,
        progress=told,
    )
    return made("int8", stem)


def by_agreement(trial: Trial, file: Made) -> Judged:
    """Without labels: the share of detections that INT8 and torch do not have in common.

    Raises:
        ModelError: where neither finds anything, so that nothing could be told.
    """
    run = OpenVinoFile(file.main)
    found = agreement(trial.reference, [run(as_input(picture)) for picture in trial.frames.checked], INT8)
    if not found.seen:
        raise ModelError(
            f"INT8 cannot be judged: the network finds nothing above {SEEN_SCORE} on {trial.frames.told}; give "
            "--footage with what it is to find, or labelled pictures with --data"
        )
    figures = {"same_detections": found.share, "detections": float(found.seen), "same_pixels": found.pixels}
    told = f"{found.share:.1%} of {found.seen} detections are the float network's on {trial.frames.told}"
    return Judged(drop=1.0 - found.share, told=told, figures=figures)
