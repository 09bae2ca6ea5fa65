"""The curves of a training as a picture: each loss term as it was learnt and on held-out pictures, and the rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.messages.panels import Curves
from stages.models.training.history import LOG, read_lines
from stages.models.whole_file import write_whole
from stages.publish.chart import draw_chart

PICTURE = "curves.png"
_POINTS = 120  # of a curve: means of what lies between
_TICKS = 6


def draw_curves(folder: Path) -> bool:
    """`curves.png` of a folder's `log.jsonl`; False where there is nothing to draw yet. Raises `OSError`."""
    path = folder / LOG
    lines: list[dict[str, Any]] = read_lines(path) if path.is_file() else []
    learnt = [line for line in lines if isinstance(line.get("loss"), dict)]
    held_out = [line for line in lines if isinstance(line.get("held_out"), dict)]
    if not learnt:
        return False
    last = int(learnt[-1]["step"])
    length = last / min(len(learnt), _POINTS)
    begins = [length * k for k in range(min(len(learnt), _POINTS))]
    ticks = [(last * k / _TICKS, f"{round(last * k / _TICKS)}") for k in range(1, _TICKS)]
    panels = []
    for name in learnt[0]["loss"]:
        values = {"learnt": _means([(line["step"], line["loss"].get(name, 0.0)) for line in learnt], begins, length)}
        if held_out:
            looks = [(line["step"], line["held_out"].get(name, 0.0)) for line in held_out]
            values["held out"] = _latest(looks, begins, length)
        panels.append(Curves(title=name.replace("_", " "), begins=begins, length=length, values=values, ticks=ticks))
    rates = {"rate": _means([(line["step"], line["rate"]) for line in learnt], begins, length)}
    panels.append(Curves(title="learning rate", begins=begins, length=length, values=rates, ticks=ticks))
    picture = draw_chart(panels, f"{folder.name}: loss over {last} steps")
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if done:
        write_whole(folder / PICTURE, data.tobytes())
    return bool(done)


def _means(points: Sequence[tuple[int, float]], begins: Sequence[float], length: float) -> list[float]:
    """The mean of what lies in each stretch; where nothing does, of the one before."""
    values: list[float] = []
    for begin in begins:
        inside = [value for step, value in points if begin < step <= begin + length]
        values.append(sum(inside) / len(inside) if inside else (values[-1] if values else points[0][1]))
    return values


def _latest(points: Sequence[tuple[int, float]], begins: Sequence[float], length: float) -> list[float]:
    """What was last seen at the end of each stretch; before the first look, what that saw."""
    return [
        next((value for step, value in reversed(points) if step <= begin + length), points[0][1]) for begin in begins
    ]
