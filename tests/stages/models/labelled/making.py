"""Tiny label sets, written as other people's tools write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.messages import Classes
from stages.models.labelled.taxonomy import Taxonomy

WIDTH, HEIGHT = 40, 30
STREET = Taxonomy(
    classes=Classes(("person", "car"), ("road", "sky")),
    gathers={"car": ("van",), "road": ("street", "bench"), "sky": ("sky-other-merged",)},
)


def picture(path: Path, *, width: int = WIDTH, height: int = HEIGHT, seed: int = 0, **options: Any) -> Path:
    """A picture of coloured squares; by its ending JPEG, PNG, BMP or WebP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    squares = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST).save(path, **options)
    return path


def grey(path: Path, values: NDArray[np.integer], *, palette: bytes | None = None) -> Path:
    """A PNG of values: 8 or 16 bits by dtype, in a palette where one is given, in colour where there are 3 channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


def coco(
    folder: Path,
    annotations: list[dict[str, Any]],
    *,
    names: tuple[str, ...] = ("person", "car", "bench", "kite"),
    pictures: tuple[str, ...] = ("a.jpg",),
    **changes: Any,
) -> dict[str, Any]:
    """Pictures, and a JSON file of annotations of the first; fields for a `CocoSpec`."""
    for number, name in enumerate(pictures):
        picture(folder / "images" / name, seed=number)
    told = {
        "images": [
            {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT} for number, name in enumerate(pictures)
        ],
        "annotations": [{"id": 100 + n, "image_id": 0, "iscrowd": 0, **one} for n, one in enumerate(annotations)],
        "categories": [{"id": 10 + number, "name": name} for number, name in enumerate(names)],
    }
    path = folder / "labels.json"
    path.write_text(json.dumps({**told, **changes}))
    return {"images": str(folder / "images"), "labels": str(path)}


def rectangle(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    """An annotation's box and polygon."""
    return {
        "bbox": [left, top, right - left, bottom - top],
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
    }
