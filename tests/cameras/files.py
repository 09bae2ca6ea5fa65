"""Small video files for tests."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream


def write_video(
    path: Path,
    pictures: Iterable[npt.NDArray[np.uint8]],
    *,
    fps: int | Fraction = 25,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    rotation: int = 0,
    container_options: dict[str, str] | None = None,
) -> Path:
    """RGB pictures [H, W, 3] as a video file whose container its suffix tells; `rotation` in degrees to the left."""
    settings = {"preset": "ultrafast", "g": "10"} if codec.startswith("libx26") else {}
    with av.open(str(path), "w", options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        stream = None
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
            if stream is None:
                stream = cast(VideoStream, container.add_stream(codec, rate=fps))
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
                stream.codec_context.options = {**settings, **(options or {})}
                if rotation:
                    stream.set_display_rotation(rotation)
            frame.pts, frame.time_base = number, 1 / Fraction(fps)
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError("write_video was given no pictures")
        container.mux(stream.encode(None))
    return path
