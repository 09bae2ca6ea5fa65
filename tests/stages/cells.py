"""Networks that look at means of cells, and frames to show them: what rounding does to a level it does to a score.

So that what two ways of preparing a picture give can be compared tightly, which random weights do not allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.messages import Batch, DeviceSurface, Frame, Surface
from stages.models.devices import Device
from stages.models.preprocess import Fit, InputSpec
from stages.models.zoo.model import TorchModel
from stages.models.zoo.run import Machine

CLIP = Path(__file__).parents[2] / "samples" / "crossing" / "crossing.mp4"
SIZES = ((640, 352), (333, 201), (97, 351), (639, 359))  # width, height
CELL = 16


class Cells(nn.Module):
    """A box a cell, as bright as the cell is, labelled by where it is."""

    def __init__(self) -> None:
        super().__init__()
        rows, columns = torch.meshgrid(torch.arange(12), torch.arange(20), indexing="ij")
        corners = torch.stack([columns, rows, columns + 1, rows + 1], -1).float() * CELL + 0.25
        self.register_buffer("corners", corners.flatten(0, 1))
        self.register_buffer("labels", ((rows + columns) % 2).flatten())

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        bright = F.avg_pool2d(pictures, CELL).mean(1).flatten(1) / 255  # [N, 240]
        boxes, labels = (values.expand(len(bright), *values.shape) for values in (self.corners, self.labels))
        return {"boxes": boxes, "scores": bright, "labels": labels}


class Brightness(nn.Module):
    """Semantic scores of dark, middling and bright, in cells of 4."""

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        bright = F.avg_pool2d(pictures, 4).mean(1, keepdim=True) / 255
        return {"logits": torch.cat([0.35 - bright, 0.1 - (bright - 0.45).abs(), bright - 0.55], 1)}


class Queries(nn.Module):
    """A query for each of dark, middling and bright, whose masks are these pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.brightness = Brightness()
        self.register_buffer("classes", F.pad(torch.eye(3) * 9, (0, 1)))

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        masks = self.brightness(pictures)["logits"] * 20
        return {"masks": masks, "classes": self.classes.expand(len(pictures), -1, -1)}


def network(module: nn.Module, fit: Fit, *, names: Sequence[str], gives: Any = "boxes") -> TorchModel:
    """One of these as the zoo hands out a network, with a picture of 320 x 192."""
    return TorchModel(
        name=type(module).__name__.lower(),
        version="0" * 64,
        module=module,
        picture=InputSpec(width=320, height=192, colours="rgb", fit=fit, padding=0),
        names=tuple(names),
        gives=gives,
        usual_precision="f32",
    )


def machine(device: torch.device) -> Machine:
    """Batches of up to four on a device."""
    return Machine(device=Device(str(device), "for a test"), largest=4, offline=True)


def through(stages: Sequence[Any], frames: Sequence[Frame]) -> Batch:
    """What stages make of frames."""
    batch = Batch(tuple(frames))
    for stage in stages:
        batch = stage(batch)
    return batch


@cache
def clip() -> tuple[Frame, ...]:
    """Frames of the sample, each cut to another size, in rows as decoders stride them."""
    import cv2

    capture, frames = cv2.VideoCapture(str(CLIP)), list[Frame]()
    while len(frames) < 4:
        for _ in range(20):
            good, picture = capture.read()
            assert good, f"OpenCV cannot read {CLIP}"
        height, width = picture.shape[:2]
        levels = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        chroma = levels[height:].reshape(2, height // 2, width // 2)
        width, height = (min(*pair) for pair in zip(SIZES[len(frames)], (width, height), strict=True))
        half = ((height + 1) // 2, (width + 1) // 2)
        planes = (levels[:height, :width], *(plane[: half[0], : half[1]] for plane in chroma))
        frames.append(frame(len(frames), Surface("yuv420p", planes, matrix="bt601")))
    return tuple(frames)


def on(device: torch.device, frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """The same with their pictures on a device: nv12 of every other, in rows that are longer than the picture."""
    moved = []
    for i, one in enumerate(frames):
        y, u, v = (torch.from_numpy(plane.copy()).to(device) for plane in one.surface.planes)
        planes: tuple[Any, ...] = (y, u, v)
        if i % 2:
            wide = torch.zeros((one.height, one.width + 29), dtype=torch.uint8, device=device)
            wide[:, : one.width] = y
            planes = (wide[:, : one.width], torch.stack([u, v], 2))
        surface = DeviceSurface(
            "nv12" if i % 2 else "yuv420p",
            planes,
            matrix=one.surface.matrix,
            range=one.surface.range,
            device=str(device),
        )
        moved.append(frame(one.seq, surface))
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # `ready` is None: they hold their pictures already
    return tuple(moved)


def frame(seq: int, surface: Surface) -> Frame:
    """The frame of a surface."""
    return Frame("a", 1, seq, seq, Fraction(1, 25), 0, "host", 0, surface)
