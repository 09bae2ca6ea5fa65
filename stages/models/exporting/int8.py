"""INT8: calibrated on some frames, judged on others, and not made where it costs too much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pipeline.errors import ModelError
from stages.models.exporting.agreement import Given, agreement
from stages.models.exporting.formats import INT8, Made, made
from stages.models.exporting.frames import Frames, Step, as_input
from stages.models.exporting.running import OpenVinoFile
from stages.models.quantize import load_nncf, quantize

# What stays in float, from the quickest to the most careful.
_LAST_LAYERS: Final = "the last layer before each output"
_ATTEMPTS: Final = ((False, ""), (True, _LAST_LAYERS))


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


Judge = Callable[[Path, Made, Frames, Sequence[Given]], Judged]  # float ONNX, INT8, frames, torch's outputs on them


def make_int8(
    whole: Path, stem: Path, frames: Frames, reference: Sequence[Given], *, judge: Judge, max_drop: float, step: Step
) -> tuple[Made, Judged]:
    """The first of several ways to quantize that costs little enough.

    Args:
        whole: the network as ONNX in float32.
        stem: path of the files without their endings.
        frames: to calibrate with, and to judge on.
        reference: torch's outputs on the latter.
        judge: tells what a file costs.
        max_drop: what it may cost.
        step: told of each piece of work.

    Raises:
        ModelError: when every way costs more, or `nncf` is not installed.
    """
    load_nncf()
    if not frames.calibration:
        raise ModelError("INT8 needs frames to calibrate with, and there are none")
    found = []
    for last_in_float, floats in _ATTEMPTS:
        what = "calibrating" + (f", {floats} in float" if floats else "")
        quantize(
            whole,
            frames.calibration,
            output=stem.with_name(f"{stem.name}-int8.xml"),
            last_in_float=last_in_float,
            progress=lambda done, what=what: step(what, done, len(frames.calibration)),  # type: ignore[misc]
        )
        file = made("int8", stem)
        judged = replace(judge(whole, file, frames, reference), floats=floats)
        if judged.drop <= max_drop:
            return file, judged
        found.append(judged)
    best = min(found, key=lambda each: each.drop)
    raise ModelError(
        f"INT8 costs {best.drop:.4f} and --max-drop allows {max_drop:g}: {best.told}"
        f"{f', with {best.floats} in float' if best.floats else ''}; nothing was written. Calibrate with more or more "
        f"varied frames ({len(frames.calibration)} were used), leave INT8 out, or allow more"
    )


def by_agreement(whole: Path, file: Made, frames: Frames, reference: Sequence[Given]) -> Judged:
    """Without labels: the share of detections that INT8 and torch do not have in common."""
    del whole
    run = OpenVinoFile(file.main)
    found = agreement(reference, [run(as_input(picture)) for picture in frames.checked], INT8)
    figures = {"same_detections": found.share, "detections": found.seen, "same_pixels": found.pixels}
    told = f"{found.share:.1%} of {found.seen} detections are the float network's on {frames.told}"
    return Judged(drop=1.0 - found.share, told=told, figures=figures)
