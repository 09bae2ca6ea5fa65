"""Which layout a graph has, told from the shapes of its outputs alone: names of files and tensors are not looked at."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ModelError
from stages.detect import fastestdet, nano, nanodet, picodet, ssd, yolo, yolox
from stages.detect.layout import Layout
from stages.models.backend import Signature

# In the order they are tried; no graph fits two.
LAYOUTS: dict[str, Layout] = {
    "nano": nano.LAYOUT,
    "yolox": yolox.LAYOUT,
    "yolo": yolo.LAYOUT,
    "nanodet": nanodet.LAYOUT,
    "picodet": picodet.LAYOUT,
    "fastestdet": fastestdet.LAYOUT,
    "ssd": ssd.LAYOUT,
}


def recognise(signature: Signature, *, path: Path, layout: str = "auto") -> tuple[str, Layout]:
    """Name and layout of a graph; `layout` other than `auto` names it.

    Raises:
        ModelError: when no layout fits, or the named one does not; lists what the graph has and what is known.
    """
    wanted = LAYOUTS if layout == "auto" else {layout: LAYOUTS[layout]} if layout in LAYOUTS else {}
    for name, candidate in wanted.items():
        if candidate.classes(signature) is not None:
            return name, candidate
    known = "; ".join(f"{name}: {each.shape}" for name, each in LAYOUTS.items())
    problem = "is of no known layout" if layout == "auto" else f"does not have the layout {layout!r}"
    raise ModelError(f"{path}: the model {problem}. It has {signature}. Known detector layouts: {known}")
