"""Digests of decoded pictures, so that a machine without FFmpeg can tell whether its own are the same.

``python -m tests.stages.decode.planes`` writes those of the first pictures of the sample, as FFmpeg decodes them. H.264
leaves a decoder no choice: every right one gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

CLIP = Path(__file__).parents[3] / "samples" / "crossing" / "crossing.mp4"
STORED = Path(__file__).with_name("crossing-planes.json")
FRAMES = 48


def digest(planes: Sequence[Any]) -> str:
    """Of luma and both chroma planes [h, w], or of chroma that lies together [h, w, 2]."""
    arrays = [np.asarray(plane.cpu() if hasattr(plane, "cpu") else plane) for plane in planes]
    if len(arrays) == 2:
        arrays = [arrays[0], arrays[1][..., 0], arrays[1][..., 1]]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def stored() -> list[str]:
    """Those of the sample's first pictures, in presentation order."""
    found: list[str] = json.loads(STORED.read_text())
    return found


def of_ffmpeg() -> list[str]:
    """The same, decoded now."""
    from itertools import islice

    from pipeline.config import SourceConfig
    from pipeline.stage import Access
    from stages.decode import open_source

    reader = open_source(SourceConfig(url=str(CLIP), source_id="a"), next_epoch=lambda: 1, access=Access())
    found = [digest(frame.surface.planes) for frame in islice(reader, FRAMES)]
    reader.close()
    return found


if __name__ == "__main__":
    STORED.write_text(json.dumps(of_ffmpeg(), indent=0) + "\n")
